#include "index-table.h"

#include <vector>

#include "keypair.h"

namespace overlay {
namespace {

constexpr size_t FIRST_BUCKETS = 64;
// At least half stay empty, so that a look-up for an unknown index ends soon.
constexpr size_t BUCKETS_PER_LIVE = 4;

}  // namespace

struct IndexTable::Buckets : Retirable {
  // Keeps the index beside the pointer: probing touches no keypair but the right one.
  struct Bucket {
    std::atomic<uint32_t> index{0};
    // nullptr: never taken.
    std::atomic<Keypair*> keypair{nullptr};
  };

  explicit Buckets(size_t count) : all(count) {}

  size_t mask() const { return all.size() - 1; }

  // Stands for a keypair that was removed.
  static Keypair* removed() {
    static char place;
    return reinterpret_cast<Keypair*>(&place);
  }

  void put(uint32_t index, Keypair* keypair) {
    size_t at = index & mask();
    while (all[at].keypair.load() != nullptr) at = (at + 1) & mask();
    all[at].index.store(index);
    all[at].keypair.store(keypair);
  }

  std::vector<Bucket> all;
};

IndexTable::IndexTable(Epochs& epochs) : epochs_(epochs), buckets_(new Buckets(FIRST_BUCKETS)) {}

IndexTable::~IndexTable() { delete buckets_.load(); }

Keypair* IndexTable::find(uint32_t index) const {
  const Buckets& buckets = *buckets_.load();
  for (size_t at = index & buckets.mask();; at = (at + 1) & buckets.mask()) {
    const Buckets::Bucket& bucket = buckets.all[at];
    Keypair* const keypair = bucket.keypair.load();
    if (keypair == nullptr) return nullptr;
    if (bucket.index.load() == index && keypair != Buckets::removed()) return keypair;
  }
}

void IndexTable::insert(Keypair& keypair) {
  if (2 * (used_ + 1) > buckets_.load()->all.size()) makeRoom();
  buckets_.load()->put(keypair.material.localIndex, &keypair);
  used_++;
  live_++;
}

void IndexTable::remove(uint32_t index) {
  Buckets& buckets = *buckets_.load();
  for (size_t at = index & buckets.mask();; at = (at + 1) & buckets.mask()) {
    Keypair* const keypair = buckets.all[at].keypair.load();
    if (keypair == nullptr) return;
    if (keypair == Buckets::removed() || buckets.all[at].index.load() != index) continue;
    buckets.all[at].keypair.store(Buckets::removed());
    live_--;
    return;
  }
}

void IndexTable::makeRoom() {
  std::unique_ptr<Buckets> old(buckets_.load());
  size_t count = FIRST_BUCKETS;
  while (count < BUCKETS_PER_LIVE * (live_ + 1)) count *= 2;
  auto fresh = std::make_unique<Buckets>(count);
  for (const Buckets::Bucket& bucket : old->all) {
    Keypair* const keypair = bucket.keypair.load();
    if (keypair != nullptr && keypair != Buckets::removed()) fresh->put(bucket.index.load(), keypair);
  }
  used_ = live_;
  buckets_.store(fresh.release());
  epochs_.retire(std::move(old));
}

}  // namespace overlay
