// The clock of all intervals: runs through suspend, never jumps (CLOCK_BOOTTIME).
#pragma once

#include <ctime>

namespace overlay {

// Milliseconds since boot, with fraction.
inline double bootNowMs() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

}  // namespace overlay
