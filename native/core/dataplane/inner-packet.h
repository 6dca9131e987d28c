// Facts of inner IP packets, read and written in place. The twin of src/net/packet.ts, with what
// segmentation and coalescing need besides.
//
// | field | IPv4 | IPv6 |
// | version | byte 0, high half | byte 0, high half |
// | length | 2-3, whole packet | 4-5, without the header of 40 bytes |
// | ECN | byte 1, bits 0-1 | byte 1, bits 4-5 |
// | source, destination | 12, 16 | 8, 24 |
#pragma once

#include <cstddef>
#include <cstdint>

#include "checksum.h"

namespace overlay {

constexpr size_t IPV4_HEADER_BYTES = 20;
constexpr size_t IPV6_HEADER_BYTES = 40;
constexpr size_t TCP_HEADER_BYTES = 20;
constexpr size_t UDP_HEADER_BYTES = 8;
constexpr uint8_t PROTOCOL_TCP = 6;
constexpr uint8_t PROTOCOL_UDP = 17;
constexpr uint8_t IPV6_FRAGMENT = 44;
constexpr size_t IPV6_FRAGMENT_BYTES = 8;

inline uint16_t readUint16(const uint8_t* at) { return static_cast<uint16_t>((at[0] << 8) | at[1]); }
inline uint32_t readUint32(const uint8_t* at) {
  return (static_cast<uint32_t>(readUint16(at)) << 16) | readUint16(at + 2);
}
inline void writeUint16(uint8_t* at, size_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}
inline void writeUint32(uint8_t* at, uint32_t value) {
  writeUint16(at, value >> 16);
  writeUint16(at + 2, value & 0xffff);
}

// 4 or 6 if `size` bytes begin with a whole header of that version, else 0.
inline int ipVersion(const uint8_t* packet, size_t size) {
  if (size < IPV4_HEADER_BYTES) return 0;
  const int version = packet[0] >> 4;
  if (version == 4) return 4;
  return version == 6 && size >= IPV6_HEADER_BYTES ? 6 : 0;
}

// Length of the packet by its own header; 0 if the header claims less than itself or more than `size`.
// Bytes beyond it are padding.
inline size_t ipLength(const uint8_t* packet, size_t size, int version) {
  const size_t total = version == 4 ? readUint16(packet + 2) : readUint16(packet + 4) + IPV6_HEADER_BYTES;
  return total < IPV4_HEADER_BYTES || total > size ? 0 : total;
}

inline size_t addressBytes(int version) { return version == 4 ? 4 : 16; }
// Source address, with the destination right behind it.
inline const uint8_t* sourceOf(const uint8_t* packet, int version) { return packet + (version == 4 ? 12 : 8); }
inline const uint8_t* destinationOf(const uint8_t* packet, int version) { return packet + (version == 4 ? 16 : 24); }

// Where the UDP header of a packet begins; 0 if it has none, or is a fragment but the first. Of IPv6 extension
// headers only the fragment's is looked behind: our own datagrams have no other.
inline size_t udpOffset(const uint8_t* packet, size_t size, int version) {
  size_t at = 0;
  if (version == 4) {
    constexpr uint16_t FRAGMENT_OFFSET = 0x1fff;
    if (packet[9] == PROTOCOL_UDP && (readUint16(packet + 6) & FRAGMENT_OFFSET) == 0) at = 4 * (packet[0] & 15U);
  } else if (packet[6] == PROTOCOL_UDP) {
    at = IPV6_HEADER_BYTES;
  } else if (packet[6] == IPV6_FRAGMENT && size >= IPV6_HEADER_BYTES + IPV6_FRAGMENT_BYTES) {
    const uint8_t* const fragment = packet + IPV6_HEADER_BYTES;
    if (fragment[0] == PROTOCOL_UDP && readUint16(fragment + 2) >> 3 == 0) at = IPV6_HEADER_BYTES + IPV6_FRAGMENT_BYTES;
  }
  return at != 0 && at + UDP_HEADER_BYTES <= size ? at : 0;
}

// The two ECN bits.
inline uint8_t ecnOf(const uint8_t* packet, int version) {
  return static_cast<uint8_t>(version == 4 ? packet[1] & 3 : (packet[1] >> 4) & 3);
}

// What the outer header has met on its way goes on inside (RFC 6040 section 4.2, as WireGuard does it):
// congestion experienced is marked on packets whose ends can read it, and never dropped for.
// `tos`: type of service or traffic class of the outer header.
void propagateCongestion(uint8_t* packet, int version, uint8_t tos);

// Sets the checksum of an IPv4 header of `headerBytes`.
void writeIpv4Checksum(uint8_t* packet, size_t headerBytes);

}  // namespace overlay
