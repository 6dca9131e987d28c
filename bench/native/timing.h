// How long something takes, by itself: the best of several spans, because whatever else the machine does
// only ever makes it slower.
#pragma once

#include <algorithm>
#include <chrono>

namespace overlay {

// Nanoseconds per call of `work`.
template <typename Work>
double nanosecondsPer(Work work) {
  using Clock = std::chrono::steady_clock;
  constexpr int SPANS = 5;
  constexpr double SPAN_NS = 8e6;
  const auto elapsedNs = [](Clock::time_point start) {
    return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
  };
  double best = 1e18;
  for (int span = 0; span < SPANS; span++) {
    size_t calls = 0;
    const Clock::time_point start = Clock::now();
    while (elapsedNs(start) < SPAN_NS) {
      for (int i = 0; i < 16; i++) work();
      calls += 16;
    }
    best = std::min(best, elapsedNs(start) / static_cast<double>(calls));
  }
  return best;
}

}  // namespace overlay
