// Longest-prefix match from IP addresses to peer slots, for both families: a path-compressed binary trie
// per family. A table is only read; a change makes another one that shares all nodes with it but those on the way to
// the prefixes that changed, so it costs what it changes, not what there is.
//
// INVARIANT: a table is destroyed after those before it. The last one owns its nodes, any other those that its
// successor has not.
//
// A node stands for a prefix, its two children for longer ones that differ in the first bit behind it.
// Nodes without a value are only forks. The twin of src/net/allowed-ips.ts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "epochs.h"

namespace overlay {

class AllowedIps : public Retirable {
 public:
  static constexpr int32_t NONE = -1;

  AllowedIps();
  ~AllowedIps() override;

  // The table that follows on this one, the same until it is changed. Once only, and destroyed after this one.
  std::unique_ptr<AllowedIps> successor();
  // Before the table is shared. `address`: 4 or 16 bytes as `version` says, host bits zero. Replaces the value of an
  // equal prefix.
  void insert(int version, const uint8_t* address, unsigned bits, uint32_t slot);
  // Nothing happens if exactly this prefix is not in it. As above.
  void remove(int version, const uint8_t* address, unsigned bits);
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
    Node* children[2] = {nullptr, nullptr};
    int32_t slot = NONE;
    uint32_t bits = 0;
    // Of the table that made it, the only one that may change it.
    uint64_t table = 0;
  };

  static Key keyOf(int version, const uint8_t* address);
  static unsigned bitAt(const Key& key, unsigned bit);
  static unsigned commonBits(const Key& a, const Key& b, unsigned limit);

  explicit AllowedIps(AllowedIps& before);

  Node*& rootOf(int version) { return version == 4 ? v4_ : v6_; }
  Node* make(const Key& key, unsigned bits, int32_t slot) const;
  bool holds(int version, const Key& key, unsigned bits);
  // The node behind a link, ours to change.
  Node* own(Node*& link);
  // Takes the node out if it has no value and no two children to tell apart.
  static void dropIfIdle(Node*& link);
  static void destroy(Node* root);

  // Before the nodes, which get it.
  uint64_t number_ = 0;
  // The first node of a family holds every address.
  Node* v4_;
  Node* v6_;
  AllowedIps* before_ = nullptr;
  bool isLast_ = true;
  std::vector<std::unique_ptr<Node>> notInSuccessor_;
};

}  // namespace overlay
