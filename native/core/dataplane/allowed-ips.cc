#include "allowed-ips.h"

#include <algorithm>

#include "inner-packet.h"

namespace overlay {
namespace {

constexpr unsigned WORD_BITS = 64;

uint64_t readUint64(const uint8_t* at) { return (static_cast<uint64_t>(readUint32(at)) << 32) | readUint32(at + 4); }

}  // namespace

AllowedIps::Key AllowedIps::keyOf(int version, const uint8_t* address) {
  if (version == 4) return {static_cast<uint64_t>(readUint32(address)) << 32, 0};
  return {readUint64(address), readUint64(address + 8)};
}

unsigned AllowedIps::bitAt(const Key& key, unsigned bit) {
  const uint64_t word = bit < WORD_BITS ? key.high : key.low;
  return static_cast<unsigned>(word >> (WORD_BITS - 1 - bit % WORD_BITS)) & 1;
}

unsigned AllowedIps::commonBits(const Key& a, const Key& b, unsigned limit) {
  const uint64_t high = a.high ^ b.high;
  if (high != 0) return std::min(limit, static_cast<unsigned>(__builtin_clzll(high)));
  const uint64_t low = a.low ^ b.low;
  if (low != 0) return std::min(limit, WORD_BITS + static_cast<unsigned>(__builtin_clzll(low)));
  return limit;
}

int32_t AllowedIps::lookup(int version, const uint8_t* address) const {
  const Key key = keyOf(version, address);
  const std::vector<Node>& nodes = version == 4 ? v4_ : v6_;
  const unsigned addressBits = version == 4 ? 32 : 128;
  int32_t best = NONE;
  for (int32_t at = 0; at != NONE;) {
    const Node& node = nodes[static_cast<size_t>(at)];
    if (commonBits(node.key, key, node.bits) < node.bits) break;
    if (node.slot != NONE) best = node.slot;
    if (node.bits == addressBits) break;
    at = node.children[bitAt(key, node.bits)];
  }
  return best;
}

void AllowedIps::insert(int version, const uint8_t* address, unsigned bits, uint32_t slot) {
  std::vector<Node>& nodes = nodesOf(version);
  const Key key = keyOf(version, address);
  int32_t parent = NONE;
  int32_t at = 0;
  unsigned common = 0;
  while (at != NONE) {
    Node& node = nodes[static_cast<size_t>(at)];
    common = commonBits(node.key, key, std::min(node.bits, bits));
    if (common < node.bits) break;
    if (node.bits == bits) {
      node.slot = static_cast<int32_t>(slot);
      return;
    }
    parent = at;
    at = node.children[bitAt(key, node.bits)];
  }
  Node leaf;
  leaf.key = key;
  leaf.bits = bits;
  leaf.slot = static_cast<int32_t>(slot);
  auto added = static_cast<int32_t>(nodes.size());
  if (at != NONE && common == bits) leaf.children[bitAt(nodes[static_cast<size_t>(at)].key, bits)] = at;
  nodes.push_back(leaf);
  if (at != NONE && common < bits) {
    Node fork;
    fork.key = key;
    fork.bits = common;
    fork.children[bitAt(key, common)] = added;
    fork.children[bitAt(nodes[static_cast<size_t>(at)].key, common)] = at;
    added = static_cast<int32_t>(nodes.size());
    nodes.push_back(fork);
  }
  Node& above = nodes[static_cast<size_t>(parent)];
  above.children[bitAt(key, above.bits)] = added;
}

}  // namespace overlay
