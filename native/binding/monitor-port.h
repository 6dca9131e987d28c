// JavaScript class `LinkMonitor`: core LinkMonitor plus readiness. Watches from construction to close().
#pragma once

#include <napi.h>

#include <memory>
#include <optional>

#include "../core/link-monitor.h"
#include "readiness.h"

namespace overlay {

class MonitorPort : public Napi::ObjectWrap<MonitorPort> {
 public:
  static Napi::Function define(Napi::Env env);
  // new LinkMonitor(onReady)
  explicit MonitorPort(const Napi::CallbackInfo& info);
  ~MonitorPort() override;

 private:
  Napi::Value read(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);
  void handleReady(int status);

  std::optional<LinkMonitor> monitor_;
  std::shared_ptr<Readiness> readiness_;
  Napi::FunctionReference onReady_;
};

}  // namespace overlay
