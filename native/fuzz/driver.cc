// Runs a fuzz target on its seeds and on mutants of them, the same ones in every run.
//   <target> SEED_DIRECTORY RUNS [FIRST]

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "../test/random.h"
#include "target.h"

namespace overlay {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr size_t MAX_BYTES = 70'000;

std::vector<Bytes> readSeeds(const char* directory) {
  std::vector<Bytes> seeds;
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return seeds;
}

// A few changes of the kinds that parsers stumble over.
Bytes mutate(Random& random, const std::vector<Bytes>& seeds) {
  Bytes bytes = seeds[random.below(seeds.size())];
  for (size_t changes = 1 + random.below(4); changes > 0; changes--) {
    const size_t at = bytes.empty() ? 0 : random.below(bytes.size());
    switch (random.below(7)) {
      case 0:
        if (!bytes.empty()) bytes[at] ^= static_cast<uint8_t>(1U << random.below(8));
        break;
      case 1: {
        static constexpr uint8_t EXTREMES[] = {0, 1, 0x7f, 0x80, 0xff, 20, 40, 64};
        if (!bytes.empty()) bytes[at] = EXTREMES[random.below(8)];
        break;
      }
      case 2:
        bytes.resize(at);
        break;
      case 3: {
        const Bytes more = random.bytes(random.below(64));
        bytes.insert(bytes.begin() + static_cast<ptrdiff_t>(at), more.begin(), more.end());
        break;
      }
      case 4: {
        const Bytes& other = seeds[random.below(seeds.size())];
        const size_t from = other.empty() ? 0 : random.below(other.size());
        bytes.insert(bytes.end(), other.begin() + static_cast<ptrdiff_t>(from), other.end());
        break;
      }
      case 5:
        if (bytes.size() > 1) bytes.erase(bytes.begin() + static_cast<ptrdiff_t>(at));
        break;
      default:
        if (bytes.size() < 2'000) bytes.resize(bytes.size() + random.below(3'000), 0xee);
        break;
    }
  }
  if (bytes.size() > MAX_BYTES) bytes.resize(MAX_BYTES);
  return bytes;
}

int main(int count, char** words) {
  if (count < 3) {
    std::fprintf(stderr, "usage: %s SEED_DIRECTORY RUNS [FIRST]\n", words[0]);
    return 2;
  }
  const std::vector<Bytes> seeds = readSeeds(words[1]);
  if (seeds.empty()) {
    std::fprintf(stderr, "no seeds in %s\n", words[1]);
    return 2;
  }
  for (const Bytes& seed : seeds) LLVMFuzzerTestOneInput(seed.data(), seed.size());
  const uint64_t first = count > 3 ? std::stoull(words[3]) : 0;
  const uint64_t runs = std::stoull(words[2]);
  for (uint64_t run = first; run < first + runs; run++) {
    Random random(run);
    // Of its own size exactly, so that the sanitizer sees a read behind its end.
    const Bytes bytes = mutate(random, seeds);
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::printf("ok   %s: %zu seeds, %llu mutants\n", words[1], seeds.size(), static_cast<unsigned long long>(runs));
  return 0;
}

}  // namespace
}  // namespace overlay

int main(int count, char** words) { return overlay::main(count, words); }
