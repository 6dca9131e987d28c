// The smallest test frame that says which line failed.
#pragma once

#include <cstdio>
#include <cstdlib>

#include "../core/errno-name.h"
#include "../core/result.h"

namespace overlay {

inline void check(bool isTrue, const char* what, int line = __builtin_LINE(), const char* file = __builtin_FILE()) {
  if (isTrue) return;
  std::fprintf(stderr, "%s:%d: expected %s\n", file, line, what);
  std::exit(1);
}

template <typename T>
void checkOk(const Result<T>& result, int line = __builtin_LINE(), const char* file = __builtin_FILE()) {
  if (result.ok()) return;
  std::fprintf(stderr, "%s:%d: %s gave %s\n", file, line, result.error().syscall, errnoName(result.error().code));
  std::exit(1);
}

template <typename T>
void checkFails(const Result<T>& result, int code, int line = __builtin_LINE(), const char* file = __builtin_FILE()) {
  check(!result.ok(), errnoName(code), line, file);
  if (result.error().code == code) return;
  std::fprintf(stderr, "%s:%d: expected %s, got %s\n", file, line, errnoName(code), errnoName(result.error().code));
  std::exit(1);
}

// A name for the report, and what it does.
struct Test {
  const char* title;
  void (*run)();
};

}  // namespace overlay
