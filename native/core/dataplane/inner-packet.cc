#include "inner-packet.h"

#include <cstring>

namespace overlay {
namespace {

// ECN field (RFC 3168 section 5).
constexpr uint8_t NOT_ECT = 0;
constexpr uint8_t CONGESTION_EXPERIENCED = 3;
constexpr size_t IPV4_CHECKSUM = 10;

// A 16-bit word under the checksum grew by `added`: HC' = ~(~HC + ~m + m'), RFC 1624 equation 3.
void adjustChecksum(uint8_t* at, uint32_t added) {
  const uint32_t sum = (~static_cast<uint32_t>(readUint16(at)) & 0xffff) + added;
  writeUint16(at, ~((sum & 0xffff) + (sum >> 16)) & 0xffff);
}

}  // namespace

void propagateCongestion(uint8_t* packet, int version, uint8_t tos) {
  if ((tos & 3) != CONGESTION_EXPERIENCED) return;
  const uint8_t ecn = ecnOf(packet, version);
  if (ecn == NOT_ECT || ecn == CONGESTION_EXPERIENCED) return;
  if (version == 6) {
    packet[1] = static_cast<uint8_t>(packet[1] | (CONGESTION_EXPERIENCED << 4));
    return;
  }
  packet[1] = static_cast<uint8_t>(packet[1] | CONGESTION_EXPERIENCED);
  adjustChecksum(packet + IPV4_CHECKSUM, CONGESTION_EXPERIENCED - ecn);
}

void writeIpv4Checksum(uint8_t* packet, size_t headerBytes) {
  std::memset(packet + IPV4_CHECKSUM, 0, 2);
  const auto checksum = static_cast<uint16_t>(~foldChecksum(addChecksum(0, packet, headerBytes)));
  std::memcpy(packet + IPV4_CHECKSUM, &checksum, sizeof(checksum));
}

}  // namespace overlay
