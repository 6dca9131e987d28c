// Runs all tests, those that change network settings in a network namespace of their own. After each
// test as many descriptors are open as before it.

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "../core/links.h"
#include "../core/unique-fd.h"
#include "suites.h"

namespace overlay {
namespace {

size_t countOpenFds() {
  size_t count = 0;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", ignored)) {
    (void)entry;
    count++;
  }
  return count;
}

void runAll(const std::vector<Test>& tests) {
  for (const Test& test : tests) {
    const size_t before = countOpenFds();
    test.run();
    check(countOpenFds() == before, "no descriptor left behind");
    std::printf("ok   %s\n", test.title);
  }
}

bool writeText(const char* path, const std::string& text) {
  const UniqueFd fd(::open(path, O_WRONLY | O_CLOEXEC));
  return fd.isOpen() && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// Root may leave the network right away; others become root of a user namespace first.
bool enterNetworkNamespace() {
  if (::unshare(CLONE_NEWNET) == 0) return true;
  const std::string uid = std::to_string(getuid());
  const std::string gid = std::to_string(getgid());
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return false;
  return writeText("/proc/self/setgroups", "deny") && writeText("/proc/self/uid_map", "0 " + uid + " 1") &&
         writeText("/proc/self/gid_map", "0 " + gid + " 1");
}

void skipAll(const std::vector<Test>& tests, const char* reason) {
  for (const Test& test : tests) std::printf("skip %s: %s\n", test.title, reason);
}

int main() {
  runAll(basicTests());
  runAll(aeadTests());
  runAll(segmenterTests());
  runAll(coalescerTests());
  runAll(tableTests());
  runAll(netlinkMessageTests());
  runAll(unixSocketTests());
  if (!enterNetworkNamespace()) {
    const char* const reason = "no network namespace may be made here";
    runAll(udpTests());
    runAll(planeTests());
    skipAll(tunTests(), reason);
    skipAll(rtnetlinkTests(), reason);
    return 0;
  }
  checkOk(setLinkUp(1, true));  // lo
  runAll(udpTests());
  runAll(planeTests());
  runAll(rtnetlinkTests());
  if (::access("/dev/net/tun", R_OK | W_OK) == 0) {
    runAll(tunTests());
  } else {
    skipAll(tunTests(), "/dev/net/tun cannot be opened");
  }
  return 0;
}

}  // namespace
}  // namespace overlay

int main() { return overlay::main(); }
