// Netlink's wire form (linux/netlink.h): messages of a 16-byte header and a body, bodies of a fixed
// struct and attributes, all aligned to 4 bytes. Built in memory, read with every length checked:
// hostile bytes end the reading, they never lead outside.
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "byte-view.h"

namespace overlay {

class NetlinkMessage {
 public:
  // `label` names the message in errors, for instance "RTM_NEWLINK". Static text.
  NetlinkMessage(const char* label, uint16_t type, uint16_t flags);

  template <typename T>
  NetlinkMessage& put(const T& body) {
    append({reinterpret_cast<const uint8_t*>(&body), sizeof(body)});
    return *this;
  }
  NetlinkMessage& putAttribute(uint16_t type, ByteView value);
  NetlinkMessage& putUint32(uint16_t type, uint32_t value);
  // With the final zero that the kernel expects of names.
  NetlinkMessage& putText(uint16_t type, const std::string& value);

  const char* label() const { return label_; }
  // The finished message under this sequence number. borrowed: until the next change.
  ByteView encode(uint32_t sequence);

 private:
  void append(ByteView bytes);

  const char* label_;
  std::vector<uint8_t> bytes_;
};

// borrowed: views into the bytes read.
struct NetlinkView {
  nlmsghdr header{};
  ByteView body;
};

struct AttributeView {
  uint16_t type = 0;
  ByteView value;
};

// Takes the next message off the front of `rest`; nothing at the end or where lengths cannot be.
std::optional<NetlinkView> takeMessage(ByteView& rest);
// The same for attributes.
std::optional<AttributeView> takeAttribute(ByteView& rest);

// The fixed struct at the start of a body; nothing if the body is shorter.
template <typename T>
std::optional<T> readStruct(ByteView body) {
  if (body.size < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, body.data, sizeof(T));
  return value;
}

// Calls `visit(AttributeView)` for each attribute behind a fixed struct of `structBytes`.
template <typename Visit>
void forEachAttribute(ByteView body, size_t structBytes, Visit visit) {
  const size_t start = NLMSG_ALIGN(structBytes);
  if (body.size < start) return;
  ByteView rest{body.data + start, body.size - start};
  while (std::optional<AttributeView> attribute = takeAttribute(rest)) visit(*attribute);
}

// Zero if the value is shorter.
uint32_t readUint32(ByteView value);
// Up to the first zero byte, if any.
std::string readText(ByteView value);

}  // namespace overlay
