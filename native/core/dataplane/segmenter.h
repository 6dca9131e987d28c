// Splits what a TUN with offloads hands over into packets as they go over a wire: TCP and UDP
// super-packets into segments with headers and checksums of their own, packets that lack their checksum
// into ones that have it. Everything else passes as it is.
//
// Pure: reads one packet, writes segments where the caller wants them. Any input is safe; one whose
// header does not fit its packet is not valid.
#pragma once

#include "virtio-header.h"

namespace overlay {

class Segmenter {
 public:
  Segmenter() = default;
  // borrowed: `packet`, until the last segment was written. `version` and `size` as its IP header says.
  Segmenter(const VirtioHeader& header, const uint8_t* packet, size_t size, int version);

  // False: the offload header asks for something impossible.
  bool isValid() const { return isValid_; }
  // How many packets come out of it.
  size_t count() const { return count_; }
  bool isDone() const { return next_ == count_; }
  bool isFrom(const uint8_t* packet) const { return packet_ == packet; }
  // Bytes of the next packet.
  size_t nextBytes() const;
  // Writes the next packet to `to`, which has room for it.
  void write(uint8_t* to);

 private:
  void planSegments();
  void writeTcp(uint8_t* to, size_t payloadBytes);
  void writeUdp(uint8_t* to, size_t payloadBytes);
  void writeIpHeader(uint8_t* to, size_t totalBytes) const;
  void finishChecksum(uint8_t* to, size_t totalBytes, size_t fieldOffset, uint64_t payloadSum) const;
  void writeWhole(uint8_t* to) const;

  VirtioHeader header_;
  const uint8_t* packet_ = nullptr;
  size_t size_ = 0;
  int version_ = 0;
  bool isValid_ = false;
  uint8_t protocol_ = 0;
  // Bytes of IP header with all that stands before the transport header, and of both.
  size_t transportOffset_ = 0;
  size_t headerBytes_ = 0;
  size_t segmentBytes_ = 0;
  size_t count_ = 0;
  size_t next_ = 0;
};

}  // namespace overlay
