// Receiver index to keypair: an open-addressed table that readers probe without a lock. Indices are
// random, so their low bits are the hash.
//
// INVARIANT: one writer at a time. A bucket goes from empty to taken to removed, never back to empty, so
// a probe that runs meanwhile finds everything it has to. When too few are empty the table is made anew.
#pragma once

#include <memory>

#include "epochs.h"

namespace overlay {

struct Keypair;

class IndexTable {
 public:
  explicit IndexTable(Epochs& epochs);
  ~IndexTable();
  IndexTable(const IndexTable&) = delete;
  IndexTable& operator=(const IndexTable&) = delete;

  // Inside an epoch, or by the writer. nullptr if there is none.
  Keypair* find(uint32_t index) const;
  // The index of the keypair is not in it yet.
  void insert(Keypair& keypair);
  void remove(uint32_t index);

 private:
  struct Buckets;

  void makeRoom();

  Epochs& epochs_;
  std::atomic<Buckets*> buckets_;
  // Buckets that are not empty, and those of them that hold a keypair.
  size_t used_ = 0;
  size_t live_ = 0;
};

}  // namespace overlay
