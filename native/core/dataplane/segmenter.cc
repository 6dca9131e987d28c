#include "segmenter.h"

#include <algorithm>
#include <cstring>

#include "inner-packet.h"

namespace overlay {
namespace {

constexpr size_t IPV4_LENGTH = 2;
constexpr size_t IPV4_IDENTIFICATION = 4;
constexpr size_t IPV6_LENGTH = 4;
constexpr size_t TCP_SEQUENCE = 4;
constexpr size_t TCP_FLAGS = 13;
constexpr size_t TCP_CHECKSUM = 16;
constexpr size_t UDP_LENGTH = 4;
constexpr size_t UDP_CHECKSUM = 6;
constexpr uint8_t FIN = 0x01;
constexpr uint8_t PSH = 0x08;
constexpr uint8_t CWR = 0x80;

size_t ipv4HeaderBytes(const uint8_t* packet) { return static_cast<size_t>(packet[0] & 15) * 4; }

}  // namespace

Segmenter::Segmenter(const VirtioHeader& header, const uint8_t* packet, size_t size, int version)
    : header_(header), packet_(packet), size_(size), version_(version) {
  if (header.type != VirtioHeader::NONE) {
    planSegments();
    return;
  }
  count_ = 1;
  const size_t field = static_cast<size_t>(header.checksumStart) + header.checksumOffset;
  isValid_ = (header.flags & VirtioHeader::NEEDS_CHECKSUM) == 0 || field + 2 <= size;
}

void Segmenter::planSegments() {
  const uint8_t type = header_.type & static_cast<uint8_t>(~VirtioHeader::WITH_ECN);
  const bool isTcp = type == (version_ == 4 ? VirtioHeader::TCP_V4 : VirtioHeader::TCP_V6);
  if (!isTcp && type != VirtioHeader::UDP) return;
  if ((header_.flags & VirtioHeader::NEEDS_CHECKSUM) == 0 || header_.segmentBytes == 0) return;
  protocol_ = isTcp ? PROTOCOL_TCP : PROTOCOL_UDP;
  transportOffset_ = header_.checksumStart;
  // IPv6 may have extension headers here; what follows them is the kernel's word.
  const size_t ipBytes = version_ == 4 ? ipv4HeaderBytes(packet_) : IPV6_HEADER_BYTES;
  const bool isPlaced =
      version_ == 4 ? transportOffset_ == ipBytes && ipBytes >= IPV4_HEADER_BYTES : transportOffset_ >= ipBytes;
  const size_t leastBytes = isTcp ? TCP_HEADER_BYTES : UDP_HEADER_BYTES;
  if (!isPlaced || transportOffset_ + leastBytes > size_) return;
  const size_t transportBytes = isTcp ? static_cast<size_t>(packet_[transportOffset_ + 12] >> 4) * 4 : UDP_HEADER_BYTES;
  headerBytes_ = transportOffset_ + transportBytes;
  if (transportBytes < leastBytes || headerBytes_ >= size_) return;
  segmentBytes_ = header_.segmentBytes;
  count_ = (size_ - headerBytes_ + segmentBytes_ - 1) / segmentBytes_;
  isValid_ = true;
}

size_t Segmenter::nextBytes() const {
  if (protocol_ == 0) return size_;
  return headerBytes_ + std::min(segmentBytes_, size_ - headerBytes_ - next_ * segmentBytes_);
}

void Segmenter::write(uint8_t* to) {
  if (protocol_ == 0) {
    writeWhole(to);
  } else {
    const size_t totalBytes = nextBytes();
    std::memcpy(to, packet_, headerBytes_);
    writeIpHeader(to, totalBytes);
    if (protocol_ == PROTOCOL_TCP) {
      writeTcp(to, totalBytes - headerBytes_);
    } else {
      writeUdp(to, totalBytes - headerBytes_);
    }
  }
  next_++;
}

void Segmenter::writeIpHeader(uint8_t* to, size_t totalBytes) const {
  if (version_ == 6) {
    writeUint16(to + IPV6_LENGTH, totalBytes - IPV6_HEADER_BYTES);
    return;
  }
  writeUint16(to + IPV4_LENGTH, totalBytes);
  writeUint16(to + IPV4_IDENTIFICATION, readUint16(packet_ + IPV4_IDENTIFICATION) + next_);
  writeIpv4Checksum(to, transportOffset_);
}

void Segmenter::writeTcp(uint8_t* to, size_t payloadBytes) {
  uint8_t* const tcp = to + transportOffset_;
  const auto advanced = static_cast<uint32_t>(next_ * segmentBytes_);
  writeUint32(tcp + TCP_SEQUENCE, readUint32(packet_ + transportOffset_ + TCP_SEQUENCE) + advanced);
  // What ends the data stands on the last segment, what answers congestion on the first.
  if (next_ + 1 != count_) tcp[TCP_FLAGS] &= static_cast<uint8_t>(~(FIN | PSH));
  if (next_ != 0) tcp[TCP_FLAGS] &= static_cast<uint8_t>(~CWR);
  const uint8_t* const payload = packet_ + headerBytes_ + next_ * segmentBytes_;
  const uint64_t sum = copyAndAddChecksum(0, to + headerBytes_, payload, payloadBytes);
  finishChecksum(to, headerBytes_ + payloadBytes, TCP_CHECKSUM, sum);
}

void Segmenter::writeUdp(uint8_t* to, size_t payloadBytes) {
  writeUint16(to + transportOffset_ + UDP_LENGTH, UDP_HEADER_BYTES + payloadBytes);
  const uint8_t* const payload = packet_ + headerBytes_ + next_ * segmentBytes_;
  const uint64_t sum = copyAndAddChecksum(0, to + headerBytes_, payload, payloadBytes);
  finishChecksum(to, headerBytes_ + payloadBytes, UDP_CHECKSUM, sum);
}

// The transport checksum over pseudo-header, header and a payload whose sum is known.
void Segmenter::finishChecksum(uint8_t* to, size_t totalBytes, size_t fieldOffset, uint64_t payloadSum) const {
  uint8_t* const transport = to + transportOffset_;
  std::memset(transport + fieldOffset, 0, 2);
  uint64_t sum = addPseudoHeader(payloadSum, sourceOf(to, version_), 2 * addressBytes(version_), protocol_,
                                 totalBytes - transportOffset_);
  sum = addChecksum(sum, transport, headerBytes_ - transportOffset_);
  auto checksum = static_cast<uint16_t>(~foldChecksum(sum));
  // Zero would say that there is none (RFC 768).
  if (checksum == 0 && protocol_ == PROTOCOL_UDP) checksum = 0xffff;
  std::memcpy(transport + fieldOffset, &checksum, sizeof(checksum));
}

// One packet as it is. If it needs its checksum, the field holds the sum of the pseudo-header.
void Segmenter::writeWhole(uint8_t* to) const {
  if (size_ == 0) return;
  std::memcpy(to, packet_, size_);
  if ((header_.flags & VirtioHeader::NEEDS_CHECKSUM) == 0) return;
  const size_t start = header_.checksumStart;
  uint8_t* const field = to + start + header_.checksumOffset;
  auto checksum = static_cast<uint16_t>(~foldChecksum(addChecksum(0, to + start, size_ - start)));
  if (checksum == 0 && header_.checksumOffset == UDP_CHECKSUM) checksum = 0xffff;
  std::memcpy(field, &checksum, sizeof(checksum));
}

}  // namespace overlay
