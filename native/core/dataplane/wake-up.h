// Wakes a thread that waits for descriptors: a descriptor that becomes readable.
#pragma once

#include <sys/eventfd.h>

#include "../unique-fd.h"

namespace overlay {

class WakeUp {
 public:
  WakeUp() : fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

  int fd() const { return fd_.get(); }
  void wake() {
    const uint64_t one = 1;
    (void)!::write(fd_.get(), &one, sizeof(one));
  }
  // Before looking for what there is to do.
  void reset() {
    uint64_t count = 0;
    (void)!::read(fd_.get(), &count, sizeof(count));
  }

 private:
  UniqueFd fd_;
};

}  // namespace overlay
