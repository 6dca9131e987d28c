// A TCP or UDP packet of a kind that may be merged with its neighbours, and the rules by which two of
// them may. The rules are those of the kernel's own receive offload, so that a forwarder that splits the
// result again sends what came.
#pragma once

#include <cstddef>
#include <cstdint>

namespace overlay {

struct Mergeable {
  uint8_t* packet = nullptr;
  size_t size = 0;
  int version = 4;
  uint8_t protocol = 0;
  size_t transportOffset = 0;
  size_t headerBytes = 0;

  size_t payloadBytes() const { return size - headerBytes; }
  const uint8_t* transport() const { return packet + transportOffset; }
};

// True, and `out` filled, if the packet carries data of TCP with no flags but ACK and PSH, or of UDP with a
// checksum; without IP options, extension headers or fragments, and with lengths that agree.
bool readMergeable(uint8_t* packet, size_t size, int version, Mergeable& out);

// Whether both have the same addresses and ports.
bool isSameFlow(const Mergeable& a, const uint8_t* packet, int version, uint8_t protocol);

// Whether the headers of `later` are what segmentation makes of those of `first`, `distance` segments on:
// all equal but lengths, checksums, the sequence number and PSH.
bool isContinuedBy(const uint8_t* first, const Mergeable& later, size_t distance);

// Verifies the transport checksum.
bool hasGoodChecksum(const Mergeable& candidate);

uint32_t tcpSequence(const Mergeable& candidate);
bool hasPush(const Mergeable& candidate);

}  // namespace overlay
