// The header that the kernel puts before each packet of a TUN with offloads, and wants before each packet
// written (virtio 1.1 section 5.1.6; linux/virtio_net.h does not compile as C++). Fields are in the
// machine's order. All zero: an ordinary packet with nothing left to do.
#pragma once

#include <cstddef>
#include <cstdint>

namespace overlay {

struct VirtioHeader {
  static constexpr uint8_t NEEDS_CHECKSUM = 1;  // flags
  static constexpr uint8_t NONE = 0;            // types
  static constexpr uint8_t TCP_V4 = 1;
  static constexpr uint8_t TCP_V6 = 4;
  static constexpr uint8_t UDP = 5;
  static constexpr uint8_t WITH_ECN = 0x80;  // beside a type

  uint8_t flags = 0;
  uint8_t type = NONE;
  // Bytes of all headers; a hint, which some kernels leave wrong.
  uint16_t headerBytes = 0;
  // Payload of each segment but the last.
  uint16_t segmentBytes = 0;
  // Where the sum of a packet that needs one begins, and how far behind that its field is.
  uint16_t checksumStart = 0;
  uint16_t checksumOffset = 0;
};

constexpr size_t VIRTIO_HEADER_BYTES = 10;
static_assert(sizeof(VirtioHeader) == VIRTIO_HEADER_BYTES, "the kernel's layout");

}  // namespace overlay
