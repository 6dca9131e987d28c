// Random numbers that are the same in every run.
#pragma once

#include <cstdint>
#include <vector>

namespace overlay {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  // splitmix64
  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  size_t below(size_t limit) { return static_cast<size_t>(next() % limit); }
  void fill(uint8_t* bytes, size_t size) {
    for (size_t i = 0; i < size; i++) bytes[i] = static_cast<uint8_t>(next());
  }
  std::vector<uint8_t> bytes(size_t size) {
    std::vector<uint8_t> made(size);
    fill(made.data(), size);
    return made;
  }

 private:
  uint64_t state_;
};

}  // namespace overlay
