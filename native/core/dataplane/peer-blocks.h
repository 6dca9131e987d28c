// The counters and times of all peer slots, in memory that JavaScript reads at any moment. One block per
// slot, and a last one for what belongs to no peer. The layout is that of src/dataplane/peer-block.ts.
//
// INVARIANT: each field is written by one direction, whose turns order its writers; so a plain load, add
// and store lose nothing, and each is one atomic access. Drop counters that more than one thread writes
// accept a lost increment.
#pragma once

#include <cstring>

#include "limits.h"

namespace overlay {

class PeerBlocks {
 public:
  PeerBlocks() = default;
  // `fields`: (slots + 1) * BLOCK_FIELDS doubles, borrowed for the life of the data plane.
  PeerBlocks(double* fields, size_t slots) : fields_(fields), slots_(slots) {}

  size_t slots() const { return slots_; }
  // The block of what belongs to no peer.
  size_t deviceSlot() const { return slots_; }

  double get(size_t slot, Field field) const { return load(at(slot, field)); }
  void set(size_t slot, Field field, double value) { store(at(slot, field), value); }
  void add(size_t slot, Field field, double amount) {
    double* const place = at(slot, field);
    store(place, load(place) + amount);
  }
  void countDrops(size_t slot, Drop reason, size_t count) {
    double* const place = at(slot, Field::drops) + static_cast<size_t>(reason);
    store(place, load(place) + static_cast<double>(count));
  }
  void clear(size_t slot) {
    for (size_t i = 0; i < BLOCK_FIELDS; i++) store(fields_ + slot * BLOCK_FIELDS + i, 0);
  }
  void countDrop(size_t slot, Drop reason) { countDrops(slot, reason, 1); }

 private:
  double* at(size_t slot, Field field) const { return fields_ + slot * BLOCK_FIELDS + static_cast<size_t>(field); }

  static double load(const double* place) {
    const uint64_t bits = __atomic_load_n(reinterpret_cast<const uint64_t*>(place), __ATOMIC_RELAXED);
    double value = 0;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
  }
  static void store(double* place, double value) {
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(bits));
    __atomic_store_n(reinterpret_cast<uint64_t*>(place), bits, __ATOMIC_RELAXED);
  }

  double* fields_ = nullptr;
  size_t slots_ = 0;
};

}  // namespace overlay
