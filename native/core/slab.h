// Batches of packets and datagrams in memory that JavaScript owns. The layout is that of
// src/dataplane/ports.ts: slot i is bytes [i * stride, (i + 1) * stride), what is in it begins after
// `headroom`. borrowed: valid during one call.
#pragma once

#include <cstddef>
#include <cstdint>

namespace overlay {

// Bytes per slot in the address arrays; v4 addresses are in the first 4.
constexpr size_t ADDRESS_BYTES = 16;

struct Slab {
  uint8_t* bytes = nullptr;
  size_t stride = 0;
  size_t headroom = 0;
  // Slots that every array of the call has.
  size_t slots = 0;
  uint32_t* lengths = nullptr;

  uint8_t* at(size_t slot) const { return bytes + slot * stride + headroom; }
  size_t capacity() const { return stride - headroom; }
};

struct DatagramHeaders {
  uint8_t* remote = nullptr;
  uint16_t* remotePort = nullptr;
  uint32_t* remoteScope = nullptr;
  uint8_t* local = nullptr;
  uint8_t* tos = nullptr;
};

}  // namespace overlay
