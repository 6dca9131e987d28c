// What the static C++ runtime and the headers of a newer glibc ask for, for a prebuilt addon that has to load with
// the glibc that Node itself asks for (2.28). Linked into the prebuilt addon only, see bin/prebuild.mjs; hidden, so that
// nobody else in the process gets to see it.

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

extern "C" {

// glibc 2.32. Never single-threaded: reference counts are atomic then.
extern char __libc_single_threaded;
char __libc_single_threaded = 0;

// glibc 2.33, before that inline. The kernel's layout is that of glibc on 64-bit machines.
int stat64(const char* path, struct stat64* to) {
  return static_cast<int>(syscall(SYS_newfstatat, AT_FDCWD, path, to, 0));
}

int fstat64(int fd, struct stat64* to) { return static_cast<int>(syscall(SYS_fstat, fd, to)); }

// glibc 2.35: the unwinder's look-up. It finds nothing, so that an exception ends the process, as it does anyway in
// code without exceptions.
struct dl_find_object;
int _dl_find_object(void*, struct dl_find_object*) { return -1; }

// glibc 2.36, for std::random_device.
uint32_t arc4random() {
  uint32_t value = 0;
  if (getrandom(&value, sizeof value, 0) != sizeof value) std::abort();
  return value;
}
}
