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

AllowedIps::AllowedIps() : v4_(make({}, 0, NONE)), v6_(make({}, 0, NONE)) {}

AllowedIps::AllowedIps(AllowedIps& before)
    : number_(before.number_ + 1), v4_(before.v4_), v6_(before.v6_), before_(&before) {}

AllowedIps::~AllowedIps() {
  if (!isLast_) return;
  destroy(v4_);
  destroy(v6_);
}

std::unique_ptr<AllowedIps> AllowedIps::successor() {
  isLast_ = false;
  return std::unique_ptr<AllowedIps>(new AllowedIps(*this));
}

int32_t AllowedIps::lookup(int version, const uint8_t* address) const {
  const Key key = keyOf(version, address);
  const unsigned addressBits = version == 4 ? 32 : 128;
  int32_t best = NONE;
  for (const Node* node = version == 4 ? v4_ : v6_; node != nullptr; node = node->children[bitAt(key, node->bits)]) {
    if (commonBits(node->key, key, node->bits) < node->bits) break;
    if (node->slot != NONE) best = node->slot;
    if (node->bits == addressBits) break;
  }
  return best;
}

void AllowedIps::insert(int version, const uint8_t* address, unsigned bits, uint32_t slot) {
  const Key key = keyOf(version, address);
  Node** link = &rootOf(version);
  while (*link != nullptr) {
    Node* const node = *link;
    const unsigned common = commonBits(node->key, key, std::min(node->bits, bits));
    if (common < node->bits) {
      Node* const leaf = make(key, bits, static_cast<int32_t>(slot));
      Node* const above = common == bits ? leaf : make(key, common, NONE);
      if (above != leaf) above->children[bitAt(key, common)] = leaf;
      above->children[bitAt(node->key, common)] = node;
      *link = above;
      return;
    }
    Node* const ours = own(*link);
    if (ours->bits == bits) {
      ours->slot = static_cast<int32_t>(slot);
      return;
    }
    link = &ours->children[bitAt(key, ours->bits)];
  }
  *link = make(key, bits, static_cast<int32_t>(slot));
}

void AllowedIps::remove(int version, const uint8_t* address, unsigned bits) {
  const Key key = keyOf(version, address);
  if (!holds(version, key, bits)) return;
  Node*& root = rootOf(version);
  Node** linkToParent = nullptr;
  Node** link = &root;
  while (own(*link)->bits != bits) {
    linkToParent = link;
    link = &(*link)->children[bitAt(key, (*link)->bits)];
  }
  (*link)->slot = NONE;
  if (link == &root) return;
  dropIfIdle(*link);
  if (linkToParent != &root) dropIfIdle(*linkToParent);
}

AllowedIps::Node* AllowedIps::make(const Key& key, unsigned bits, int32_t slot) const {
  auto node = std::make_unique<Node>();
  node->key = key;
  node->bits = bits;
  node->slot = slot;
  node->table = number_;
  return node.release();
}

bool AllowedIps::holds(int version, const Key& key, unsigned bits) {
  const Node* node = rootOf(version);
  while (node != nullptr && node->bits < bits && commonBits(node->key, key, node->bits) == node->bits) {
    node = node->children[bitAt(key, node->bits)];
  }
  return node != nullptr && node->bits == bits && node->slot != NONE && commonBits(node->key, key, bits) == bits;
}

AllowedIps::Node* AllowedIps::own(Node*& link) {
  if (link->table == number_) return link;
  auto copy = std::make_unique<Node>(*link);
  copy->table = number_;
  before_->notInSuccessor_.emplace_back(link);
  link = copy.release();
  return link;
}

void AllowedIps::dropIfIdle(Node*& link) {
  if (link->slot != NONE || (link->children[0] != nullptr && link->children[1] != nullptr)) return;
  const std::unique_ptr<Node> node(link);
  link = node->children[0] != nullptr ? node->children[0] : node->children[1];
}

void AllowedIps::destroy(Node* root) {
  std::vector<std::unique_ptr<Node>> waiting;
  waiting.emplace_back(root);
  while (!waiting.empty()) {
    const std::unique_ptr<Node> node = std::move(waiting.back());
    waiting.pop_back();
    for (Node* const child : node->children) {
      if (child != nullptr) waiting.emplace_back(child);
    }
  }
}

}  // namespace overlay
