// Descriptor passing and unix datagrams as JavaScript functions. A descriptor given to JavaScript is
// owned there and closed with fs.closeSync.
#pragma once

#include <napi.h>

namespace overlay {

void exportUnixSocket(Napi::Env env, Napi::Object exports);

}  // namespace overlay
