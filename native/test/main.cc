// Runs all tests, or those of the suites that are named: core-test [SUITE]... Those that change network settings
// run in a network namespace of their own. After each test as many descriptors are open as before it.

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
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

// What a suite needs besides the process itself.
enum class Needs { NOTHING, NETWORK, NAMESPACE, TUN };

struct Suite {
  const char* name;
  std::vector<Test> (*tests)();
  Needs needs;
};

// Those without a network first, before this process enters a namespace.
const Suite SUITES[] = {
    {"basic", basicTests, Needs::NOTHING},
    {"aead", aeadTests, Needs::NOTHING},
    {"segmenter", segmenterTests, Needs::NOTHING},
    {"coalescer", coalescerTests, Needs::NOTHING},
    {"tables", tableTests, Needs::NOTHING},
    {"netlink-message", netlinkMessageTests, Needs::NOTHING},
    {"unix-socket", unixSocketTests, Needs::NOTHING},
    {"udp", udpTests, Needs::NETWORK},
    {"plane", planeTests, Needs::NETWORK},
    {"rtnetlink", rtnetlinkTests, Needs::NAMESPACE},
    {"tun", tunTests, Needs::TUN},
};

bool isKnown(const std::string& name) {
  return std::any_of(std::begin(SUITES), std::end(SUITES), [&](const Suite& suite) { return name == suite.name; });
}

// `names`: of suites; all, if there is none.
int main(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (isKnown(name)) continue;
    std::fprintf(stderr, "unknown suite %s\n", name.c_str());
    return 2;
  }
  bool hasTried = false;
  bool hasNamespace = false;
  for (const Suite& suite : SUITES) {
    if (!names.empty() && std::find(names.begin(), names.end(), suite.name) == names.end()) continue;
    if (suite.needs != Needs::NOTHING && !hasTried) {
      hasTried = true;
      hasNamespace = enterNetworkNamespace();
      if (hasNamespace) checkOk(setLinkUp(1, true));  // lo
    }
    if (suite.needs >= Needs::NAMESPACE && !hasNamespace) {
      skipAll(suite.tests(), "no network namespace may be made here");
    } else if (suite.needs == Needs::TUN && ::access("/dev/net/tun", R_OK | W_OK) != 0) {
      skipAll(suite.tests(), "/dev/net/tun cannot be opened");
    } else {
      runAll(suite.tests());
    }
  }
  return 0;
}

}  // namespace
}  // namespace overlay

int main(int count, char** words) { return overlay::main({words + 1, words + count}); }
