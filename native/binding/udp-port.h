// JavaScript class `Udp`: core UdpSocket plus readiness. Kept alive from construction to close().
#pragma once

#include <napi.h>

#include <memory>
#include <optional>

#include "../core/udp-socket.h"
#include "readiness.h"

namespace overlay {

class UdpPort : public Napi::ObjectWrap<UdpPort> {
 public:
  static Napi::Function define(Napi::Env env);
  // new Udp(family, port, mark, address or undefined, onReady)
  explicit UdpPort(const Napi::CallbackInfo& info);
  ~UdpPort() override;

 private:
  Napi::Value port(const Napi::CallbackInfo& info);
  void setWatching(const Napi::CallbackInfo& info);
  Napi::Value receiveBatch(const Napi::CallbackInfo& info);
  Napi::Value sendBatch(const Napi::CallbackInfo& info);
  void setMark(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  void handleReady(int status);

  std::optional<UdpSocket> socket_;
  std::shared_ptr<Readiness> readiness_;
  Napi::FunctionReference onReady_;
};

}  // namespace overlay
