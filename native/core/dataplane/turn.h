// Lets threads pass one after the other, in the order of the tickets they hold: what was begun in one
// order is finished in the same order, however long the part between took.
//
// INVARIANT: every ticket comes exactly once, and its holder passes.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace overlay {

class Turn {
 public:
  // Returns when all tickets before `ticket` have passed.
  void waitFor(uint64_t ticket) {
    if (now_.load() == ticket) return;
    std::unique_lock<std::mutex> lock(mutex_);
    waiters_.fetch_add(1);
    changed_.wait(lock, [&] { return now_.load() == ticket; });
    waiters_.fetch_sub(1);
  }

  // The holder's turn is over.
  void pass() {
    now_.fetch_add(1);
    if (waiters_.load() == 0) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    // All: only the waiter with the next ticket can tell that it is meant.
    changed_.notify_all();
  }

 private:
  std::atomic<uint64_t> now_{0};
  std::atomic<int> waiters_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
};

}  // namespace overlay
