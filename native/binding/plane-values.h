// The data plane's values between JavaScript and the core.
#pragma once

#include <napi.h>

#include <vector>

#include "../core/dataplane/data-plane.h"

namespace overlay {

// Of the constructor's options. Fails if the blocks do not hold whole blocks, or the AEAD is none.
Result<DataPlaneOptions> toPlaneOptions(const Napi::Object& options);

// Arguments `first` to `first` + 3: remote, port, scope, local or undefined.
Addresses toAddresses(const Napi::CallbackInfo& info, size_t first);

// Entries of ALLOWED_IP_BYTES each: version 1, bits 1, 2 unused, slot 4 little-endian, address 16 of which
// v4 uses the first 4. borrowed: the addresses, from `bytes`.
constexpr size_t ALLOWED_IP_BYTES = 24;
std::vector<AllowedIp> toAllowedIps(ByteView bytes);

// Arguments `first` to `first` + 6, as in PlanePort::installKeypair. False if keys or counter are none.
bool toKeypairMaterial(const Napi::CallbackInfo& info, size_t first, KeypairMaterial& material);

Napi::Value fromIndices(Napi::Env env, const std::vector<uint32_t>& indices);
// {aead, threads, offloads}
Napi::Value fromDescription(Napi::Env env, const PlaneDescription& description);
// {kind, slot, localIndex, removed, socket, remote, port, scope, local, bytes, errno, syscall}, each where
// the kind has it.
Napi::Value fromEvent(Napi::Env env, const PlaneEvent& event);

// Names of the AEAD's kernels that run here, fastest first.
Napi::Value fromUsableAeads(Napi::Env env);

// The numbers that src/dataplane/native compares with its own.
Napi::Object planeLayout(Napi::Env env);

}  // namespace overlay
