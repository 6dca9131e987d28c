#include "privileges.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

namespace overlay {

void forbidCoreFiles() {
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
}

bool dropPrivileges(bool keepsFileAccess) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
  // Whoever is not root has nothing to lose by it, and may not.
  if (geteuid() != 0) return true;
  // The kernel may know more capabilities than the headers: it says EINVAL after its last one.
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++) {
    if (capability == CAP_NET_ADMIN || capability == CAP_NET_BIND_SERVICE) continue;
    if (capability == CAP_DAC_OVERRIDE && keepsFileAccess) continue;
    const bool isThere = prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 1;
    if (isThere && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) return false;
  }
  return true;
}

}  // namespace overlay
