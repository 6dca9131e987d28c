// Lets threads read shared objects without a lock while others replace them: what was taken out of
// sight is destroyed only when no reader can still hold it.
//
// A reader is inside between enter() and leave(), and holds no pointer beyond. What is retired gets the
// number of the epoch that begins with it; whoever entered in that epoch or later cannot have seen it.
// INVARIANT: an object is unpublished before it is retired, and readers load pointers inside only, both
// in sequentially consistent order.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace overlay {

// What may be retired. Destroyed by any thread.
struct Retirable {
  Retirable() = default;
  Retirable(const Retirable&) = delete;
  Retirable& operator=(const Retirable&) = delete;
  virtual ~Retirable() = default;
};

class Epochs {
 public:
  static constexpr size_t MAX_READERS = 32;

  // `reader`: 0 to MAX_READERS - 1, one per thread.
  void enter(size_t reader);
  void leave(size_t reader);

  // Takes over what nobody can find any more.
  void retire(std::unique_ptr<Retirable> object);
  // Returns when everybody who was inside has left. Never call it inside, nor holding what readers wait for.
  void synchronize();

  // How often readers have entered. With isAnyInside it tells whether the threads have had work.
  uint64_t entries() const;
  bool isAnyInside() const;

 private:
  struct alignas(64) Reader {
    // Epoch it entered in; 0 outside.
    std::atomic<uint64_t> epoch{0};
    std::atomic<uint64_t> entries{0};
  };
  struct Retired {
    uint64_t epoch;
    std::unique_ptr<Retirable> object;
  };

  bool isOver(uint64_t epoch) const;
  void reclaim();

  std::array<Reader, MAX_READERS> readers_;
  std::atomic<uint64_t> now_{1};
  std::atomic<bool> hasRetired_{false};
  std::mutex mutex_;
  std::vector<Retired> retired_;
};

}  // namespace overlay
