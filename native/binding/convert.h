// Values between JavaScript and the core. Arguments are validated in src/platform; what is read here is
// made safe once more: a wrong type reads as empty, zero or false, never as foreign memory. The same
// holds for an empty value, which is what every property of an ending worker's objects reads as.
#pragma once

#include <napi.h>

#include <cstdint>
#include <optional>
#include <string>

#include "../core/byte-view.h"
#include "../core/result.h"
#include "../core/slab.h"

namespace overlay {

// Throws the one kind of error that the addon throws: `.errno` is symbolic, `.syscall` names the call.
void throwError(Napi::Env env, const Error& error);

// True if fine; else the JavaScript exception is pending and the caller returns at once.
template <typename T>
bool succeeded(Napi::Env env, const Result<T>& result) {
  if (!result.ok()) throwError(env, result.error());
  return result.ok();
}

// Nothing unless it is a whole number from 0 to 2^32 - 1.
std::optional<uint32_t> tryUint32(Napi::Value value);
// The same with 0 for nothing.
uint32_t toUint32(Napi::Value value);
bool toBoolean(Napi::Value value);
// -1, which every system call refuses, unless it can be a descriptor.
int toFd(Napi::Value value);
std::string toText(Napi::Value value);
// borrowed: valid while the caller's argument is.
ByteView toBytes(Napi::Value value);
Napi::Value fromBytes(Napi::Env env, ByteView bytes);

// Arguments `first` to `first` + 3: bytes, stride, headroom, lengths. No slots if they do not fit together.
Slab toSlab(const Napi::CallbackInfo& info, size_t first);
// Arguments `first` to `first` + 4: remote, remotePort, remoteScope, local, tos. Cuts `slab` to what all hold.
DatagramHeaders toHeaders(const Napi::CallbackInfo& info, size_t first, Slab& slab);

}  // namespace overlay
