// Inner packets for tests, and the plain way to take super-packets apart.
#pragma once

#include <cstring>
#include <vector>

#include "../core/dataplane/inner-packet.h"
#include "../core/dataplane/virtio-header.h"

namespace overlay {

using Bytes = std::vector<uint8_t>;

struct TcpOptions {
  int version = 4;
  uint32_t sequence = 1000;
  uint8_t flags = 0x10;
  uint16_t port = 1234;
  uint16_t identification = 1;
  bool hasDontFragment = false;
};

// A transport header of `headerBytes` and `payload` bytes that count up, with right checksums.
inline void finishTransport(Bytes& packet, int version, size_t start, uint8_t protocol) {
  const size_t field = start + (protocol == PROTOCOL_TCP ? 16 : 6);
  std::memset(&packet[field], 0, 2);
  uint64_t sum =
      addPseudoHeader(0, sourceOf(packet.data(), version), 2 * addressBytes(version), protocol, packet.size() - start);
  sum = addChecksum(sum, &packet[start], packet.size() - start);
  auto checksum = static_cast<uint16_t>(~foldChecksum(sum));
  if (checksum == 0 && protocol == PROTOCOL_UDP) checksum = 0xffff;
  std::memcpy(&packet[field], &checksum, 2);
}

inline Bytes ipPacket(int version, uint8_t protocol, size_t bodyBytes, const TcpOptions& options) {
  const size_t headerBytes = version == 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
  Bytes packet(headerBytes + bodyBytes);
  for (size_t i = headerBytes; i < packet.size(); i++) packet[i] = static_cast<uint8_t>(i);
  if (version == 4) {
    packet[0] = 0x45;
    writeUint16(&packet[2], packet.size());
    writeUint16(&packet[4], options.identification);
    packet[6] = options.hasDontFragment ? 0x40 : 0;
    packet[8] = 64;
    packet[9] = protocol;
    packet[12] = packet[16] = 10;
    packet[19] = 2;
    writeIpv4Checksum(packet.data(), headerBytes);
  } else {
    packet[0] = 0x60;
    writeUint16(&packet[4], bodyBytes);
    packet[6] = protocol;
    packet[7] = 64;
    packet[8] = packet[24] = 0xfd;
    packet[39] = 2;
  }
  return packet;
}

inline Bytes tcpPacket(size_t payloadBytes, const TcpOptions& options = {}) {
  Bytes packet = ipPacket(options.version, PROTOCOL_TCP, TCP_HEADER_BYTES + payloadBytes, options);
  const size_t start = packet.size() - TCP_HEADER_BYTES - payloadBytes;
  std::memset(&packet[start], 0, TCP_HEADER_BYTES);
  writeUint16(&packet[start], options.port);
  writeUint16(&packet[start + 2], 80);
  writeUint32(&packet[start + 4], options.sequence);
  packet[start + 12] = 0x50;
  packet[start + 13] = options.flags;
  finishTransport(packet, options.version, start, PROTOCOL_TCP);
  return packet;
}

inline Bytes udpPacket(size_t payloadBytes, const TcpOptions& options = {}) {
  Bytes packet = ipPacket(options.version, PROTOCOL_UDP, UDP_HEADER_BYTES + payloadBytes, options);
  const size_t start = packet.size() - UDP_HEADER_BYTES - payloadBytes;
  writeUint16(&packet[start], options.port);
  writeUint16(&packet[start + 2], 53);
  writeUint16(&packet[start + 4], UDP_HEADER_BYTES + payloadBytes);
  finishTransport(packet, options.version, start, PROTOCOL_UDP);
  return packet;
}

}  // namespace overlay
