// What a system call gave, or why it failed. The core throws nothing: every failure is an errno and the
// name of the call, and the binding turns both into one JavaScript error.
#pragma once

#include <cassert>
#include <cerrno>
#include <optional>
#include <utility>

namespace overlay {

struct Error {
  int code = 0;
  // Static text: a system call or netlink message name.
  const char* syscall = "";
};

// The error of the call that failed just now.
inline Error lastError(const char* syscall) { return Error{errno, syscall}; }

template <typename T>
class Result {
 public:
  Result(T value) : value_(std::move(value)) {}
  Result(Error error) : error_(error) {}

  bool ok() const { return value_.has_value(); }
  T& value() {
    assert(value_.has_value());
    return *value_;
  }
  const Error& error() const { return error_; }

 private:
  std::optional<T> value_;
  Error error_;
};

template <>
class Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(error) {}

  bool ok() const { return error_.code == 0; }
  const Error& error() const { return error_; }

 private:
  Error error_;
};

}  // namespace overlay
