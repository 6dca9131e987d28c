#include "process.h"

#include <sys/prctl.h>

#include "convert.h"

namespace overlay {
namespace {

// (): nothing. Keys are in memory: none of it goes to a file or a crash reporter, and nobody but root attaches to it.
// A limit of the size of dumps would not keep the kernel from starting a reporter (core(5)).
void forbidDumps(const Napi::CallbackInfo& info) {
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) succeeded(info.Env(), Result<void>(lastError("prctl")));
}

}  // namespace

void exportProcess(Napi::Env env, Napi::Object exports) {
  exports.Set("forbidDumps", Napi::Function::New<forbidDumps>(env));
}

}  // namespace overlay
