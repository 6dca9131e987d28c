#include "epochs.h"

#include <sched.h>

#include <algorithm>
#include <utility>

namespace overlay {

void Epochs::enter(size_t reader) {
  Reader& own = readers_[reader];
  own.entries.fetch_add(1);
  own.epoch.store(now_.load());
}

void Epochs::leave(size_t reader) {
  readers_[reader].epoch.store(0);
  if (hasRetired_.load()) reclaim();
}

void Epochs::retire(std::unique_ptr<Retirable> object) {
  if (object == nullptr) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    retired_.push_back({now_.fetch_add(1) + 1, std::move(object)});
    hasRetired_.store(true);
  }
  reclaim();
}

void Epochs::synchronize() {
  const uint64_t epoch = now_.fetch_add(1) + 1;
  while (!isOver(epoch)) ::sched_yield();
  reclaim();
}

uint64_t Epochs::entries() const {
  uint64_t sum = 0;
  for (const Reader& reader : readers_) sum += reader.entries.load();
  return sum;
}

bool Epochs::isAnyInside() const { return !isOver(UINT64_MAX); }

bool Epochs::isOver(uint64_t epoch) const {
  return std::all_of(readers_.begin(), readers_.end(), [epoch](const Reader& reader) {
    const uint64_t entered = reader.epoch.load();
    return entered == 0 || entered >= epoch;
  });
}

void Epochs::reclaim() {
  // Destroyed after the lock: closing a descriptor may take its time.
  std::vector<Retired> over;
  {
    const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock()) return;
    const auto firstOver = std::stable_partition(retired_.begin(), retired_.end(),
                                                 [this](const Retired& one) { return !isOver(one.epoch); });
    std::move(firstOver, retired_.end(), std::back_inserter(over));
    retired_.erase(firstOver, retired_.end());
    hasRetired_.store(!retired_.empty());
  }
}

}  // namespace overlay
