// JavaScript class `Tun`: core Tun plus readiness. Kept alive from construction to close().
#pragma once

#include <napi.h>

#include <memory>
#include <optional>

#include "../core/tun.h"
#include "readiness.h"

namespace overlay {

class TunPort : public Napi::ObjectWrap<TunPort> {
 public:
  static Napi::Function define(Napi::Env env);
  // new Tun(nameOrFd, onReady, hasOffloads): onReady(0) when readable, onReady(errno name) once when gone.
  explicit TunPort(const Napi::CallbackInfo& info);
  ~TunPort() override;

 private:
  Napi::Value name(const Napi::CallbackInfo& info);
  Napi::Value linkIndex(const Napi::CallbackInfo& info);
  Napi::Value fd(const Napi::CallbackInfo& info);
  Napi::Value place(const Napi::CallbackInfo& info);
  void setWatching(const Napi::CallbackInfo& info);
  Napi::Value readBatch(const Napi::CallbackInfo& info);
  Napi::Value writeBatch(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  void handleReady(int status);
  void shut();

  std::optional<Tun> tun_;
  std::shared_ptr<Readiness> readiness_;
  Napi::FunctionReference onReady_;
};

}  // namespace overlay
