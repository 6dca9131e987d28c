// Longest-prefix match from IP addresses to peer slots, for both families: a path-compressed binary trie
// per family. Built once, then only read; a change makes a new table.
//
// A node stands for a prefix, its two children for longer ones that differ in the first bit behind it.
// Nodes without a value are only forks. The twin of src/net/allowed-ips.ts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "epochs.h"

namespace overlay {

class AllowedIps : public Retirable {
 public:
  static constexpr int32_t NONE = -1;

  // `address`: 4 or 16 bytes as `version` says, host bits zero. Replaces the value of an equal prefix.
  void insert(int version, const uint8_t* address, unsigned bits, uint32_t slot);
  // Slot of the longest prefix that holds the address, or NONE.
  int32_t lookup(int version, const uint8_t* address) const;

 private:
  // An address as two words, first bits first, so that prefixes compare with one exclusive-or.
  struct Key {
    uint64_t high = 0;
    uint64_t low = 0;
  };
  struct Node {
    Key key;
    int32_t children[2] = {NONE, NONE};
    int32_t slot = NONE;
    uint32_t bits = 0;
  };

  static Key keyOf(int version, const uint8_t* address);
  static unsigned bitAt(const Key& key, unsigned bit);
  static unsigned commonBits(const Key& a, const Key& b, unsigned limit);

  std::vector<Node>& nodesOf(int version) { return version == 4 ? v4_ : v6_; }

  // The first node of a family holds every address.
  std::vector<Node> v4_{Node{}};
  std::vector<Node> v6_{Node{}};
};

}  // namespace overlay
