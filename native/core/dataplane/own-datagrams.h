// Tells an inner packet that is one of the plane's own outer datagrams: the route to a peer's endpoint leads into
// the inner interface. Sealed once more it would come back again, for ever; the kernel's WireGuard answers ELOOP.
// The twin of src/dataplane/portable/own-datagrams.ts.
//
// Known exactly, and not by addresses: who forwards for others sees the same ports and the same far end in packets
// that are not its own. It is UDP from a port of ours, and either transport data under the receiver index and an
// already used counter of a keypair that sends, or it begins as one of the last control datagrams did.
//
// Packets that are not UDP from such a port cost two comparisons and a look at one bit.
#pragma once

#include <array>
#include <atomic>

#include "../byte-view.h"
#include "inner-packet.h"
#include "keypair.h"

namespace overlay {

class OwnDatagrams {
 public:
  // By whoever opens and closes sockets; read at any time.
  void addPort(uint16_t port) { word(port).fetch_or(bit(port), std::memory_order_relaxed); }
  void removePort(uint16_t port) { word(port).fetch_and(~bit(port), std::memory_order_relaxed); }
  // A control datagram is about to be sent. By one thread.
  void note(ByteView datagram);

  // The UDP payload of a packet from one of the ports; empty for all other packets. `size` as its header says.
  ByteView payloadFromOwnPort(const uint8_t* packet, size_t size, int version) const {
    const size_t at = udpOffset(packet, size, version);
    if (at == 0 || !hasPort(readUint16(packet + at))) return {nullptr, 0};
    return {packet + at + UDP_HEADER_BYTES, size - at - UDP_HEADER_BYTES};
  }
  // Whether it begins as a control datagram of late.
  bool isNoted(ByteView payload) const;

 private:
  // More than go out while one of them makes its way through the kernel.
  static constexpr size_t NOTED = 256;
  // Of the beginning: it holds a random number in every message that is sent.
  static constexpr size_t COMPARED_BYTES = 16;

  static uint64_t printOf(ByteView datagram);
  static constexpr uint64_t bit(uint16_t port) { return 1ULL << (port % 64); }
  std::atomic<uint64_t>& word(uint16_t port) { return ports_[port / 64]; }
  bool hasPort(uint16_t port) const { return (ports_[port / 64].load(std::memory_order_relaxed) & bit(port)) != 0; }

  std::array<std::atomic<uint64_t>, (UINT16_MAX + 1) / 64> ports_{};
  std::array<std::atomic<uint64_t>, NOTED> noted_{};
  size_t next_ = 0;
};

}  // namespace overlay
