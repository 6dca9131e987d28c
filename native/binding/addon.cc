// What the addon exports. Its typed form is src/platform/addon.ts.

#include <napi.h>

#include "../core/boot-clock.h"
#include "../core/slab.h"
#include "monitor-port.h"
#include "network.h"
#include "plane-port.h"
#include "plane-values.h"
#include "process.h"
#include "tun-port.h"
#include "udp-port.h"
#include "unix-socket.h"

namespace overlay {
namespace {

// Raised with every change of names, arguments or layout that src/platform must know of.
constexpr uint32_t ADDON_VERSION = 7;

Napi::Value bootNow(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), bootNowMs()); }

Napi::Value aeadKernels(const Napi::CallbackInfo& info) { return fromUsableAeads(info.Env()); }

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  exports.Set("version", Napi::Number::New(env, ADDON_VERSION));
  exports.Set("addressBytes", Napi::Number::New(env, static_cast<double>(ADDRESS_BYTES)));
  exports.Set("bootNowMs", Napi::Function::New<bootNow>(env, "bootNowMs"));
  exports.Set("Tun", TunPort::define(env));
  exports.Set("Udp", UdpPort::define(env));
  exportNetwork(env, exports);
  exportUnixSocket(env, exports);
  exportProcess(env, exports);
  exports.Set("LinkMonitor", MonitorPort::define(env));
  exports.Set("Plane", PlanePort::define(env));
  exports.Set("aeadKernels", Napi::Function::New<aeadKernels>(env, "aeadKernels"));
  exports.Set("planeLayout", planeLayout(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(overlay, initialize)

}  // namespace overlay
