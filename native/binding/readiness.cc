#include "readiness.h"

namespace overlay {

Result<std::shared_ptr<Readiness>> Readiness::create(Napi::Env env, int fd, Handler handler) {
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return Error{ENOSYS, "napi_get_uv_event_loop"};
  auto readiness = std::make_shared<Readiness>();
  readiness->handler_ = std::move(handler);
  readiness->poll_.data = readiness.get();
  if (const int status = uv_poll_init(loop, &readiness->poll_, fd); status < 0) {
    return Error{-status, "uv_poll_init"};
  }
  // From here libuv knows the handle: only its close callback may let go of it.
  readiness->self_ = readiness;
  napi_add_async_cleanup_hook(env, onEnvironmentEnd, readiness.get(), &readiness->hook_);
  return readiness;
}

void Readiness::setWatching(bool isWatching) {
  if (isClosing_) return;
  if (isWatching) {
    uv_poll_start(&poll_, UV_READABLE, onEvent);
  } else {
    uv_poll_stop(&poll_);
  }
}

void Readiness::close() {
  if (isClosing_) return;
  isClosing_ = true;
  uv_close(reinterpret_cast<uv_handle_t*>(&poll_), onClosed);
}

void Readiness::onEvent(uv_poll_t* poll, int status, int /* events */) {
  static_cast<Readiness*>(poll->data)->handler_(status);
}

void Readiness::onClosed(uv_handle_t* handle) {
  // Moved out first: it may be the last reference, and a member must not destroy its own owner.
  std::shared_ptr<Readiness> readiness = std::move(static_cast<Readiness*>(handle->data)->self_);
  if (readiness->hook_ != nullptr) napi_remove_async_cleanup_hook(readiness->hook_);
}

void Readiness::onEnvironmentEnd(napi_async_cleanup_hook_handle /* hook */, void* self) {
  static_cast<Readiness*>(self)->close();
}

// Plain Node-API on purpose: an ending worker still turns its event loop, no JavaScript can run there,
// and the C++ wrapper makes every refused call fatal.
void callFromLoop(const Napi::FunctionReference& function, Napi::Value argument) {
  const napi_env env = function.Env();
  napi_value receiver = nullptr;
  napi_value callee = nullptr;
  const napi_value value = argument;
  if (napi_get_global(env, &receiver) != napi_ok) return;
  if (napi_get_reference_value(env, function, &callee) != napi_ok || callee == nullptr) return;
  if (napi_make_callback(env, nullptr, receiver, callee, 1, &value, nullptr) == napi_ok) return;
  bool isThrown = false;
  napi_value error = nullptr;
  if (napi_is_exception_pending(env, &isThrown) != napi_ok || !isThrown) return;
  if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
}

}  // namespace overlay
