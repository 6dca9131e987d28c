// IP addresses and prefixes as netlink has them: raw bytes, 4 or 16 of them.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>

#include "byte-view.h"

namespace overlay {

struct IpBytes {
  std::array<uint8_t, 16> bytes{};
  // 4 or 16.
  size_t size = 4;

  static std::optional<IpBytes> from(ByteView view) {
    if (view.size != 4 && view.size != 16) return std::nullopt;
    IpBytes ip;
    ip.size = view.size;
    std::memcpy(ip.bytes.data(), view.data, view.size);
    return ip;
  }

  ByteView view() const { return {bytes.data(), size}; }
  uint8_t family() const { return size == 4 ? AF_INET : AF_INET6; }
};

struct IpPrefix {
  IpBytes address;
  uint8_t bits = 0;
};

}  // namespace overlay
