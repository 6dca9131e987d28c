// What this process is and may, as JavaScript functions.
#pragma once

#include <napi.h>

namespace overlay {

void exportProcess(Napi::Env env, Napi::Object exports);

}  // namespace overlay
