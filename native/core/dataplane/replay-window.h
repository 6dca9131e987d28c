// Which message counters of one receive key were seen: a sliding window as a ring of bit blocks, after
// RFC 6479. Moving ahead clears whole blocks, so nothing is shifted, whatever the jump.
//
// INVARIANT: accept() is called after authentication only, so strangers cannot move the window, and by
// one thread at a time.
#pragma once

#include <algorithm>
#include <array>

#include "limits.h"

namespace overlay {

class ReplayWindow {
 public:
  // True, and remembered, if the counter is new; false if it was seen or is behind the window.
  bool accept(uint64_t counter) {
    if (counter > newest_) {
      moveTo(counter);
    } else if (newest_ - counter >= REPLAY_WINDOW_COUNTERS) {
      return false;
    }
    uint64_t& block = ring_[(counter / BLOCK_BITS) % RING_BLOCKS];
    const uint64_t bit = 1ULL << (counter % BLOCK_BITS);
    if ((block & bit) != 0) return false;
    block |= bit;
    return true;
  }

 private:
  static constexpr uint64_t BLOCK_BITS = 64;
  // Larger than the window, so that its oldest block is never the one being cleared.
  static constexpr uint64_t RING_BLOCKS = 2 * REPLAY_WINDOW_COUNTERS / BLOCK_BITS;

  void moveTo(uint64_t counter) {
    const uint64_t newestBlock = newest_ / BLOCK_BITS;
    const uint64_t entered = std::min(counter / BLOCK_BITS - newestBlock, RING_BLOCKS);
    for (uint64_t i = 1; i <= entered; i++) ring_[(newestBlock + i) % RING_BLOCKS] = 0;
    newest_ = counter;
  }

  std::array<uint64_t, RING_BLOCKS> ring_{};
  uint64_t newest_ = 0;
};

}  // namespace overlay
