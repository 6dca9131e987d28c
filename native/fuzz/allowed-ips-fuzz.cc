// Prefixes to insert and addresses to look up, 18 bytes each, against a linear scan.

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "../core/dataplane/allowed-ips.h"
#include "../test/check.h"
#include "target.h"

using namespace overlay;

namespace {

constexpr size_t ENTRY_BYTES = 18;

struct Prefix {
  int version;
  uint8_t address[16];
  unsigned bits;
  int32_t slot;
};

bool contains(const Prefix& prefix, int version, const uint8_t* address) {
  if (prefix.version != version) return false;
  for (unsigned bit = 0; bit < prefix.bits; bit++) {
    if ((((prefix.address[bit / 8] ^ address[bit / 8]) >> (7 - bit % 8)) & 1) != 0) return false;
  }
  return true;
}

int32_t scan(const std::vector<Prefix>& prefixes, int version, const uint8_t* address) {
  int32_t best = AllowedIps::NONE;
  int bestBits = -1;
  for (const Prefix& prefix : prefixes) {
    if (static_cast<int>(prefix.bits) < bestBits || !contains(prefix, version, address)) continue;
    best = prefix.slot;
    bestBits = static_cast<int>(prefix.bits);
  }
  return best;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  auto table = std::make_unique<AllowedIps>();
  // The one that another followed on, as readers still see it.
  std::unique_ptr<AllowedIps> before;
  std::vector<Prefix> prefixes;
  std::vector<Prefix> prefixesBefore;
  for (size_t at = 0; at + ENTRY_BYTES <= size && at < 400 * ENTRY_BYTES; at += ENTRY_BYTES) {
    Prefix entry{(bytes[at] & 1) == 0 ? 4 : 6, {}, 0, static_cast<int32_t>(at)};
    std::memcpy(entry.address, bytes + at + 2, 16);
    if ((bytes[at] & 2) != 0) {
      check(table->lookup(entry.version, entry.address) == scan(prefixes, entry.version, entry.address),
            "what a linear scan finds");
      check(
          !before || before->lookup(entry.version, entry.address) == scan(prefixesBefore, entry.version, entry.address),
          "the table before is as it was");
      continue;
    }
    if ((bytes[at] & 4) != 0) {
      before = std::move(table);
      table = before->successor();
      prefixesBefore = prefixes;
    }
    entry.bits = bytes[at + 1] % (entry.version == 4 ? 33 : 129);
    for (unsigned bit = entry.bits; bit < 128; bit++)
      entry.address[bit / 8] &= static_cast<uint8_t>(~(1U << (7 - bit % 8)));
    if ((bytes[at] & 8) != 0) {
      prefixes.erase(std::remove_if(prefixes.begin(), prefixes.end(),
                                    [&entry](const Prefix& other) {
                                      return other.bits == entry.bits && contains(other, entry.version, entry.address);
                                    }),
                     prefixes.end());
      table->remove(entry.version, entry.address, entry.bits);
      continue;
    }
    prefixes.push_back(entry);
    table->insert(entry.version, entry.address, entry.bits, static_cast<uint32_t>(entry.slot));
  }
  return 0;
}
