#include "monitor-port.h"

#include "convert.h"
#include "network.h"

namespace overlay {
namespace {

// An event in the shape of NetworkEvent in src/platform/link-events.ts.
struct FromEvent {
  Napi::Env env;

  Napi::Object operator()(const LinkEvent& event) const {
    Napi::Object object = fromLink(env, event.link);
    object.Set("kind", "link");
    object.Set("removed", event.isRemoved);
    return object;
  }

  Napi::Object operator()(const AddressEvent& event) const {
    Napi::Object object = Napi::Object::New(env);
    object.Set("kind", "address");
    object.Set("linkIndex", event.address.linkIndex);
    object.Set("prefix", fromPrefix(env, event.address.prefix));
    object.Set("removed", event.isRemoved);
    return object;
  }

  Napi::Object operator()(const RoutesEvent& /* event */) const { return named("routes"); }
  Napi::Object operator()(const EventsLost& /* event */) const { return named("lost"); }

  Napi::Object named(const char* kind) const {
    Napi::Object object = Napi::Object::New(env);
    object.Set("kind", kind);
    return object;
  }
};

}  // namespace

Napi::Function MonitorPort::define(Napi::Env env) {
  return DefineClass(env, "LinkMonitor",
                     {
                         InstanceMethod<&MonitorPort::read>("read"),
                         InstanceMethod<&MonitorPort::close>("close"),
                     });
}

MonitorPort::MonitorPort(const Napi::CallbackInfo& info) : Napi::ObjectWrap<MonitorPort>(info) {
  const Napi::Env env = info.Env();
  // The worker is being terminated: nobody would ever close what is opened here.
  if (IsEmpty()) return;
  if (!info[0].IsFunction()) {
    throwError(env, Error{EINVAL, "LinkMonitor"});
    return;
  }
  Result<LinkMonitor> monitor = LinkMonitor::open(toBoolean(info[1]));
  if (!succeeded(env, monitor)) return;
  auto readiness = Readiness::create(env, monitor.value().fd(), [this](int status) { handleReady(status); });
  if (!succeeded(env, readiness)) return;
  monitor_.emplace(std::move(monitor.value()));
  readiness_ = std::move(readiness.value());
  onReady_ = Napi::Persistent(info[0].As<Napi::Function>());
  readiness_->setWatching(true);
  Ref();
}

MonitorPort::~MonitorPort() {
  if (readiness_) readiness_->close();
}

// (): events waiting, oldest first.
Napi::Value MonitorPort::read(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!monitor_) return Napi::Array::New(env, 0);
  Result<std::vector<NetworkEvent>> events = monitor_->read();
  if (!succeeded(env, events)) return env.Undefined();
  Napi::Array array = Napi::Array::New(env, events.value().size());
  for (uint32_t i = 0; i < events.value().size(); i++) array.Set(i, std::visit(FromEvent{env}, events.value()[i]));
  return array;
}

void MonitorPort::close(const Napi::CallbackInfo& /* info */) {
  if (!monitor_) return;
  readiness_->close();
  monitor_.reset();
  onReady_.Reset();
  Unref();
}

void MonitorPort::handleReady(int status) {
  const Napi::Env env = Env();
  const Napi::HandleScope scope(env);
  const std::shared_ptr<Readiness> readiness = readiness_;
  callFromLoop(onReady_, Napi::Number::New(env, 0));
  // Watching stops by itself on an error of the socket (an overflow); reading has taken that error.
  if (status != 0) readiness->setWatching(true);
}

}  // namespace overlay
