// JavaScript class `LinkMonitor`: core LinkMonitor plus readiness. One call with all events waiting.
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
  // new LinkMonitor(onEvents)
  explicit MonitorPort(const Napi::CallbackInfo& info);
  ~MonitorPort() override;

 private:
  void close(const Napi::CallbackInfo& info);
  void handleReady(int status);

  std::optional<LinkMonitor> monitor_;
  std::shared_ptr<Readiness> readiness_;
  Napi::FunctionReference onEvents_;
};

}  // namespace overlay
