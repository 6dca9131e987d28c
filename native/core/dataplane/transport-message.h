// The transport data message (paper section 5.4.6), read and written in place.
//
// | offset | size | field |
// | 0 | 4 | type 4, little-endian |
// | 4 | 4 | receiver index, little-endian |
// | 8 | 8 | counter, little-endian |
// | 16 | n | sealed packet: a multiple of 16 or cut at the MTU; empty for a keepalive |
// | 16 + n | 16 | tag |
#pragma once

#include <endian.h>

#include <algorithm>
#include <cstring>

#include "limits.h"

namespace overlay {

struct TransportHeader {
  uint32_t receiverIndex = 0;
  uint64_t counter = 0;
};

// Whether a datagram is meant to be transport data, whole or not.
inline bool isTransportData(const uint8_t* bytes, size_t size) {
  uint32_t type = 0;
  if (size < sizeof(type)) return false;
  std::memcpy(&type, bytes, sizeof(type));
  return le32toh(type) == MESSAGE_TRANSPORT;
}

// Of at least KEEPALIVE_BYTES.
inline TransportHeader readTransportHeader(const uint8_t* bytes) {
  TransportHeader header;
  std::memcpy(&header.receiverIndex, bytes + 4, 4);
  std::memcpy(&header.counter, bytes + 8, 8);
  return {le32toh(header.receiverIndex), le64toh(header.counter)};
}

inline void writeTransportHeader(uint8_t* to, const TransportHeader& header) {
  const uint32_t type = htole32(MESSAGE_TRANSPORT);
  const uint32_t index = htole32(header.receiverIndex);
  const uint64_t counter = htole64(header.counter);
  std::memcpy(to, &type, 4);
  std::memcpy(to + 4, &index, 4);
  std::memcpy(to + 8, &counter, 8);
}

// Zeros behind a packet: up to a multiple of 16, but not above the MTU. A packet that is longer than the
// MTU is padded like what it has over whole MTUs.
inline size_t paddingOf(size_t size, size_t mtu) {
  const size_t last = size > mtu ? size % mtu : size;
  const size_t rounded = (last + PADDING_BYTES - 1) / PADDING_BYTES * PADDING_BYTES;
  return std::min(mtu, rounded) - last;
}

}  // namespace overlay
