#include "mergeable.h"

#include <cstring>

#include "inner-packet.h"

namespace overlay {
namespace {

constexpr size_t TCP_FLAGS = 13;
constexpr uint8_t PSH = 0x08;
constexpr uint8_t ACK = 0x10;
constexpr uint8_t TCP_RESERVED = 0x0f;  // low half of the byte with the header length
constexpr uint8_t DONT_FRAGMENT = 0x40;
constexpr size_t IPV4_FRAGMENT = 6;

bool readIp(Mergeable& one) {
  const uint8_t* const ip = one.packet;
  if (one.version == 4) {
    // Header of 20 bytes; no fragment, reserved bit clear.
    if ((ip[0] & 15) != 5 || (readUint16(ip + IPV4_FRAGMENT) & 0xbfff) != 0) return false;
    one.protocol = ip[9];
    one.transportOffset = IPV4_HEADER_BYTES;
    // Splitting writes a right one over a wrong one.
    return foldChecksum(addChecksum(0, ip, IPV4_HEADER_BYTES)) == 0xffff;
  }
  one.protocol = ip[6];
  one.transportOffset = IPV6_HEADER_BYTES;
  return true;
}

bool readTransport(Mergeable& one) {
  const uint8_t* const transport = one.transport();
  const size_t left = one.size - one.transportOffset;
  if (one.protocol == PROTOCOL_TCP) {
    if (left < TCP_HEADER_BYTES) return false;
    const size_t bytes = static_cast<size_t>(transport[12] >> 4) * 4;
    if (bytes < TCP_HEADER_BYTES || bytes >= left || (transport[12] & TCP_RESERVED) != 0) return false;
    if ((transport[TCP_FLAGS] & ~PSH) != ACK) return false;
    // The urgent pointer means nothing without its flag, but splitting must not lose it.
    one.headerBytes = one.transportOffset + bytes;
    return true;
  }
  if (one.protocol != PROTOCOL_UDP || left <= UDP_HEADER_BYTES) return false;
  if (readUint16(transport + 4) != left || readUint16(transport + 6) == 0) return false;
  one.headerBytes = one.transportOffset + UDP_HEADER_BYTES;
  return true;
}

bool isSameIpHeader(const uint8_t* first, const Mergeable& later, size_t distance) {
  const uint8_t* const ip = later.packet;
  if (later.version == 6) {
    // Version, traffic class and flow label; next header and hop limit; addresses.
    return std::memcmp(first, ip, 4) == 0 && std::memcmp(first + 6, ip + 6, 34) == 0;
  }
  if (first[1] != ip[1] || std::memcmp(first + 6, ip + 6, 4) != 0) return false;
  if (std::memcmp(first + 12, ip + 12, 8) != 0) return false;
  // Identifications count up. Where a packet must not be fragmented they mean nothing (RFC 6864).
  const auto expected = static_cast<uint16_t>(readUint16(first + 4) + distance);
  return (ip[6] & DONT_FRAGMENT) != 0 || readUint16(ip + 4) == expected;
}

}  // namespace

bool readMergeable(uint8_t* packet, size_t size, int version, Mergeable& out) {
  out = Mergeable{packet, size, version};
  return readIp(out) && readTransport(out);
}

bool isSameFlow(const Mergeable& a, const uint8_t* packet, int version, uint8_t protocol) {
  if (a.version != version || a.protocol != protocol) return false;
  const size_t bytes = 2 * addressBytes(version);
  return std::memcmp(sourceOf(a.packet, version), sourceOf(packet, version), bytes) == 0 &&
         std::memcmp(a.transport(), packet + a.transportOffset, 4) == 0;
}

bool isContinuedBy(const uint8_t* first, const Mergeable& later, size_t distance) {
  if (!isSameIpHeader(first, later, distance)) return false;
  if (later.protocol == PROTOCOL_UDP) return true;
  const uint8_t* const a = first + later.transportOffset;
  const uint8_t* const b = later.transport();
  // Answer number and header length; window; urgent pointer and options. Flags differ in PSH at most.
  return std::memcmp(a + 8, b + 8, 5) == 0 && std::memcmp(a + 14, b + 14, 2) == 0 &&
         std::memcmp(a + 18, b + 18, later.headerBytes - later.transportOffset - 18) == 0;
}

bool hasGoodChecksum(const Mergeable& one) {
  const size_t bytes = one.size - one.transportOffset;
  uint64_t sum = addChecksum(0, one.transport(), bytes);
  sum = addPseudoHeader(sum, sourceOf(one.packet, one.version), 2 * addressBytes(one.version), one.protocol, bytes);
  return foldChecksum(sum) == 0xffff;
}

uint32_t tcpSequence(const Mergeable& candidate) { return readUint32(candidate.transport() + 4); }

bool hasPush(const Mergeable& candidate) { return (candidate.transport()[TCP_FLAGS] & PSH) != 0; }

}  // namespace overlay
