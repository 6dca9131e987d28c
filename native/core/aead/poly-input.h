// What Poly1305 in lanes reads: of each message whole chunks where they lie, and a copy of the rest with its
// padding and the block of lengths behind it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "aead.h"

namespace overlay {

constexpr size_t POLY_BLOCK_BYTES = 16;

template <size_t LANES, size_t CHUNK_BYTES>
struct PolyInput {
  const uint8_t* at[LANES];
  // By lane; a lane without a message has neither chunks nor a tail.
  size_t chunks[LANES];
  size_t tailBlocks[LANES];
  alignas(64) uint8_t tails[LANES][CHUNK_BYTES + POLY_BLOCK_BYTES];
  size_t mostChunks = 0;
  size_t leastChunks = SIZE_MAX;
  size_t mostTailBlocks = 0;

  PolyInput(const AeadMessage* const* messages, size_t count) {
    for (size_t lane = 0; lane < LANES; lane++) {
      std::memset(tails[lane], 0, sizeof(tails[lane]));
      if (lane < count) {
        take(lane, *messages[lane]);
      } else {
        at[lane] = tails[lane];
        chunks[lane] = tailBlocks[lane] = 0;
      }
      mostChunks = std::max(mostChunks, chunks[lane]);
      leastChunks = std::min(leastChunks, chunks[lane]);
      mostTailBlocks = std::max(mostTailBlocks, tailBlocks[lane]);
    }
  }

 private:
  void take(size_t lane, const AeadMessage& message) {
    const uint64_t length = message.length;
    const size_t rest = message.length % CHUNK_BYTES;
    const size_t restBlocks = (rest + POLY_BLOCK_BYTES - 1) / POLY_BLOCK_BYTES;
    at[lane] = message.bytes;
    chunks[lane] = message.length / CHUNK_BYTES;
    tailBlocks[lane] = restBlocks + 1;
    std::memcpy(tails[lane], message.bytes + message.length - rest, rest);
    std::memcpy(tails[lane] + restBlocks * POLY_BLOCK_BYTES + 8, &length, sizeof(length));
  }
};

}  // namespace overlay
