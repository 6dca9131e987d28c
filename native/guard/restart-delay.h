// How long to wait before a daemon that crashed is started again.
#pragma once

#include <algorithm>
#include <cstdint>

namespace overlay {

class RestartDelay {
 public:
  // Milliseconds. `livedMs`: how long it ran after it was up; 0 if it never was. The first crash of a daemon that
  // ran well costs nothing; each one that follows soon doubles the wait.
  int64_t next(int64_t livedMs) {
    if (livedMs >= kSoundMs) {
      delayMs_ = 0;
      return 0;
    }
    delayMs_ = std::clamp(2 * delayMs_, kFirstMs, kLongestMs);
    return delayMs_;
  }

 private:
  static constexpr int64_t kSoundMs = 60'000;
  static constexpr int64_t kFirstMs = 1'000;
  static constexpr int64_t kLongestMs = 60'000;

  int64_t delayMs_ = 0;
};

}  // namespace overlay
