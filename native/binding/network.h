// Links, addresses, routes and rules as JavaScript functions; objects have the shapes of
// src/platform/network.ts. All calls are synchronous: they are rare and the kernel answers at once.
#pragma once

#include <napi.h>

#include "../core/addresses.h"
#include "../core/links.h"

namespace overlay {

void exportNetwork(Napi::Env env, Napi::Object exports);

Napi::Object fromLink(Napi::Env env, const LinkInfo& link);
Napi::Object fromPrefix(Napi::Env env, const IpPrefix& prefix);

}  // namespace overlay
