// Tells when a descriptor can be read, on the event loop of the environment that asked (main thread or
// worker). Also hands one value to one JavaScript function.
//
// INVARIANT: libuv may use the handle until its close callback has run, so the object holds itself
// until then. An environment that ends closes it through an asynchronous cleanup hook.
#pragma once

#include <napi.h>
#include <uv.h>

#include <functional>
#include <memory>

#include "../core/result.h"

namespace overlay {

class Readiness : public std::enable_shared_from_this<Readiness> {
 public:
  // `status`: 0 if readable; else a negative errno, and watching has stopped by itself.
  using Handler = std::function<void(int status)>;

  // The handler is not called after close(), and not before setWatching(true).
  static Result<std::shared_ptr<Readiness>> create(Napi::Env env, int fd, Handler handler);

  Readiness() = default;
  Readiness(const Readiness&) = delete;
  Readiness& operator=(const Readiness&) = delete;

  void setWatching(bool isWatching);
  // Idempotent. The descriptor may be closed right after.
  void close();

 private:
  static void onEvent(uv_poll_t* poll, int status, int events);
  static void onClosed(uv_handle_t* handle);
  static void onEnvironmentEnd(napi_async_cleanup_hook_handle hook, void* self);

  uv_poll_t poll_{};
  napi_async_cleanup_hook_handle hook_ = nullptr;
  Handler handler_;
  std::shared_ptr<Readiness> self_;
  bool isClosing_ = false;
};

// Calls `function` from the event loop with `argument`. What it throws becomes an uncaught exception.
void callFromLoop(const Napi::FunctionReference& function, Napi::Value argument);

}  // namespace overlay
