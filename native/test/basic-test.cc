#include <fcntl.h>

#include <utility>

#include "../core/boot-clock.h"
#include "../core/unique-fd.h"
#include "../guard/restart-delay.h"
#include "suites.h"

namespace overlay {
namespace {

bool isOpenFd(int fd) { return fcntl(fd, F_GETFD) >= 0; }

int openNull() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

void closesOnDestruction() {
  int raw = -1;
  {
    const UniqueFd fd(openNull());
    raw = fd.get();
    check(isOpenFd(raw), "an open descriptor");
  }
  check(!isOpenFd(raw), "a closed descriptor");
}

void movesOwnership() {
  UniqueFd first(openNull());
  const int raw = first.get();
  UniqueFd second(std::move(first));
  check(second.get() == raw && isOpenFd(raw), "the descriptor in its new owner");
  UniqueFd third(openNull());
  const int replaced = third.get();
  third = std::move(second);
  check(third.get() == raw && isOpenFd(raw), "the descriptor in its last owner");
  check(!isOpenFd(replaced), "the replaced descriptor closed");
}

void survivesMoveToItself() {
  UniqueFd fd(openNull());
  UniqueFd& same = fd;
  fd = std::move(same);
  check(fd.isOpen() && isOpenFd(fd.get()), "the descriptor still open");
}

void releasesWithoutClosing() {
  UniqueFd fd(openNull());
  const UniqueFd kept(fd.release());
  check(!fd.isOpen() && isOpenFd(kept.get()), "the descriptor given away open");
}

void clockRuns() {
  const double first = bootNowMs();
  const double second = bootNowMs();
  check(first > 0 && second >= first, "a clock that does not run backwards");
}

void waitsLongerAfterEachCrash() {
  RestartDelay delay;
  check(delay.next(3'600'000) == 0, "none after an hour");
  for (const int64_t waitMs : {1'000, 2'000, 4'000, 8'000, 16'000, 32'000, 60'000, 60'000}) {
    check(delay.next(59'999) == waitMs, "twice as long each time, a minute at most");
  }
  check(delay.next(60'000) == 0, "none after a minute");
  check(delay.next(0) == 1'000, "a second once more");
}

}  // namespace

std::vector<Test> basicTests() {
  return {
      {"a UniqueFd closes its descriptor", closesOnDestruction},
      {"a UniqueFd moves its descriptor", movesOwnership},
      {"a UniqueFd survives a move to itself", survivesMoveToItself},
      {"a UniqueFd releases its descriptor open", releasesWithoutClosing},
      {"the boot clock never runs backwards", clockRuns},
      {"a daemon that crashes is waited for longer and longer", waitsLongerAfterEachCrash},
  };
}

}  // namespace overlay
