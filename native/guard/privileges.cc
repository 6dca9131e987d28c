#include "privileges.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace overlay {

namespace {

constexpr uint64_t bitOf(int capability) { return uint64_t{1} << capability; }

// The bounding set holds for all that the daemon executes too. Lowering it needs CAP_SETPCAP, which a container may lack;
// then the sets of this process alone are the limit, because without new privileges an execution adds none.
bool lowerBoundingSet(uint64_t kept) {
  // The kernel may know more capabilities than the headers: it says EINVAL after its last one.
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++) {
    const bool isThere = prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 1;
    if ((kept & bitOf(capability)) != 0 || !isThere) continue;
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) return errno == EPERM;
  }
  return true;
}

// Of what there is. The inheritable set would get past the bounding set.
bool lowerOwnSets(uint64_t kept) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  if (syscall(SYS_capget, &header, data) != 0) return false;
  for (int i = 0; i < 2; i++) {
    const auto mask = static_cast<uint32_t>(kept >> (32 * i));
    data[i].permitted &= mask;
    data[i].effective &= mask;
    data[i].inheritable = 0;
  }
  // Ambient capabilities are inheritable ones: they go with them.
  return syscall(SYS_capset, &header, data) == 0;
}

}  // namespace

void forbidCoreFiles() {
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
}

bool dropPrivileges(bool keepsFileAccess) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
  // Whoever is not root has nothing to lose by it, and may not.
  if (geteuid() != 0) return true;
  const uint64_t kept =
      bitOf(CAP_NET_ADMIN) | bitOf(CAP_NET_BIND_SERVICE) | (keepsFileAccess ? bitOf(CAP_DAC_OVERRIDE) : 0);
  return lowerBoundingSet(kept) && lowerOwnSets(kept);
}

}  // namespace overlay
