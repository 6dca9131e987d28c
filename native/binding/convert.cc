#include "convert.h"

#include <algorithm>
#include <climits>

#include "../core/errno-name.h"

namespace overlay {
namespace {

template <typename T>
struct ArrayView {
  T* data = nullptr;
  size_t length = 0;
};

template <typename T>
ArrayView<T> toArray(Napi::Value value, napi_typedarray_type expected) {
  napi_typedarray_type type{};
  size_t length = 0;
  void* data = nullptr;
  if (!value.IsTypedArray()) return {};
  const napi_status status = napi_get_typedarray_info(value.Env(), value, &type, &length, &data, nullptr, nullptr);
  if (status != napi_ok || type != expected) return {};
  return {static_cast<T*>(data), length};
}

}  // namespace

void throwError(Napi::Env env, const Error& error) {
  // Thrown by JavaScript while its objects were read.
  if (env.IsExceptionPending()) return;
  const std::string name = errnoName(error.code);
  Napi::Error thrown = Napi::Error::New(env, std::string(error.syscall) + ": " + name);
  thrown.Value().Set("errno", Napi::String::New(env, name));
  thrown.Value().Set("syscall", Napi::String::New(env, error.syscall));
  thrown.ThrowAsJavaScriptException();
}

std::optional<uint32_t> tryUint32(Napi::Value value) {
  if (!value.IsNumber()) return std::nullopt;
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= 0 && number <= UINT32_MAX)) return std::nullopt;
  const auto whole = static_cast<uint32_t>(number);
  if (static_cast<double>(whole) != number) return std::nullopt;
  return whole;
}

uint32_t toUint32(Napi::Value value) { return tryUint32(value).value_or(0); }

// Not Value::ToBoolean, which ends the process over an empty value.
bool toBoolean(Napi::Value value) { return value.IsBoolean() && value.As<Napi::Boolean>().Value(); }

int toFd(Napi::Value value) {
  const std::optional<uint32_t> fd = tryUint32(value);
  return fd && *fd <= INT_MAX ? static_cast<int>(*fd) : -1;
}

std::string toText(Napi::Value value) {
  return value.IsString() ? value.As<Napi::String>().Utf8Value() : std::string();
}

ByteView toBytes(Napi::Value value) {
  const ArrayView<uint8_t> array = toArray<uint8_t>(value, napi_uint8_array);
  return {array.data, array.length};
}

Napi::Value fromBytes(Napi::Env env, ByteView bytes) {
  Napi::Uint8Array array = Napi::Uint8Array::New(env, bytes.size);
  // An ending worker gets none.
  if (bytes.size > 0 && array.Data() != nullptr) std::copy(bytes.data, bytes.data + bytes.size, array.Data());
  return array;
}

Slab toSlab(const Napi::CallbackInfo& info, size_t first) {
  const ArrayView<uint8_t> bytes = toArray<uint8_t>(info[first], napi_uint8_array);
  const ArrayView<uint32_t> lengths = toArray<uint32_t>(info[first + 3], napi_uint32_array);
  Slab slab;
  slab.bytes = bytes.data;
  slab.stride = toUint32(info[first + 1]);
  slab.headroom = toUint32(info[first + 2]);
  slab.lengths = lengths.data;
  if (slab.stride > slab.headroom) slab.slots = std::min(bytes.length / slab.stride, lengths.length);
  return slab;
}

DatagramHeaders toHeaders(const Napi::CallbackInfo& info, size_t first, Slab& slab) {
  const ArrayView<uint8_t> remote = toArray<uint8_t>(info[first], napi_uint8_array);
  const ArrayView<uint16_t> remotePort = toArray<uint16_t>(info[first + 1], napi_uint16_array);
  const ArrayView<uint32_t> remoteScope = toArray<uint32_t>(info[first + 2], napi_uint32_array);
  const ArrayView<uint8_t> local = toArray<uint8_t>(info[first + 3], napi_uint8_array);
  const ArrayView<uint8_t> tos = toArray<uint8_t>(info[first + 4], napi_uint8_array);
  slab.slots = std::min({slab.slots, remote.length / ADDRESS_BYTES, remotePort.length, remoteScope.length,
                         local.length / ADDRESS_BYTES, tos.length});
  return {remote.data, remotePort.data, remoteScope.data, local.data, tos.data};
}

}  // namespace overlay
