#include "unix-socket.h"

#include <algorithm>
#include <climits>

#include "../core/unix-socket.h"
#include "convert.h"

namespace overlay {
namespace {

// A negative time would be no bound.
int toTimeout(Napi::Value value) { return static_cast<int>(std::min<uint32_t>(toUint32(value), INT_MAX)); }

Napi::Value fromFd(Napi::Env env, Result<UniqueFd> fd) {
  if (!succeeded(env, fd)) return env.Undefined();
  return Napi::Number::New(env, fd.value().release());
}

// (): two descriptors
Napi::Value openPair(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Result<std::pair<UniqueFd, UniqueFd>> pair = openUnixPair();
  if (!succeeded(env, pair)) return env.Undefined();
  Napi::Array ends = Napi::Array::New(env, 2);
  ends.Set(0u, pair.value().first.release());
  ends.Set(1u, pair.value().second.release());
  return ends;
}

// (path): descriptor
Napi::Value listenAt(const Napi::CallbackInfo& info) { return fromFd(info.Env(), listenUnix(toText(info[0]))); }

// (path, timeoutMs): descriptor
Napi::Value connectTo(const Napi::CallbackInfo& info) {
  return fromFd(info.Env(), connectUnix(toText(info[0]), toTimeout(info[1])));
}

// (listener, timeoutMs): descriptor
Napi::Value acceptFrom(const Napi::CallbackInfo& info) {
  return fromFd(info.Env(), acceptUnix(toFd(info[0]), toTimeout(info[1])));
}

// (socket, descriptor)
void passFd(const Napi::CallbackInfo& info) { succeeded(info.Env(), sendFd(toFd(info[0]), toFd(info[1]))); }

// (socket, timeoutMs): descriptor
Napi::Value takeFd(const Napi::CallbackInfo& info) {
  return fromFd(info.Env(), receiveFd(toFd(info[0]), toTimeout(info[1])));
}

// (path, text, timeoutMs)
void sendDatagram(const Napi::CallbackInfo& info) {
  succeeded(info.Env(), sendUnixDatagram(toText(info[0]), toText(info[1]), toTimeout(info[2])));
}

}  // namespace

void exportUnixSocket(Napi::Env env, Napi::Object exports) {
  exports.Set("openUnixPair", Napi::Function::New<openPair>(env));
  exports.Set("listenUnix", Napi::Function::New<listenAt>(env));
  exports.Set("connectUnix", Napi::Function::New<connectTo>(env));
  exports.Set("acceptUnix", Napi::Function::New<acceptFrom>(env));
  exports.Set("sendFd", Napi::Function::New<passFd>(env));
  exports.Set("receiveFd", Napi::Function::New<takeFd>(env));
  exports.Set("sendUnixDatagram", Napi::Function::New<sendDatagram>(env));
}

}  // namespace overlay
