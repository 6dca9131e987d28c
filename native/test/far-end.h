// The other side of one keypair, and messages as it makes them.
#pragma once

#include <cstring>

#include "../core/aead/kernels.h"
#include "../core/boot-clock.h"
#include "../core/dataplane/keypair.h"
#include "../core/dataplane/transport-message.h"
#include "packets.h"

namespace overlay {

// Keys of an index: both directions the same, so that two planes can be told to talk.
inline KeypairMaterial materialOf(uint32_t index, bool isInitiator = true) {
  KeypairMaterial material;
  material.localIndex = material.remoteIndex = index;
  material.sendKey.fill(static_cast<uint8_t>(index));
  material.receiveKey.fill(static_cast<uint8_t>(index));
  material.isInitiator = isInitiator;
  material.createdAtMs = bootNowMs();
  return material;
}

inline Bytes sealedMessage(uint32_t index, uint64_t counter, const uint8_t* packet, size_t size) {
  Bytes message(size + KEEPALIVE_BYTES);
  writeTransportHeader(message.data(), {index, counter});
  if (size > 0) std::memcpy(&message[TRANSPORT_HEADER_BYTES], packet, size);
  AeadMessage one{&message[TRANSPORT_HEADER_BYTES], static_cast<uint32_t>(size), false, counter};
  SCALAR_KERNEL.create()->sealBatch(materialOf(index).sendKey.data(), &one, 1);
  return message;
}

}  // namespace overlay
