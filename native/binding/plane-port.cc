#include "plane-port.h"

#include <cstring>

#include "../core/errno-name.h"
#include "convert.h"
#include "plane-values.h"

namespace overlay {

Napi::Function PlanePort::define(Napi::Env env) {
  return DefineClass(env, "Plane",
                     {
                         InstanceMethod<&PlanePort::describe>("describe"),
                         InstanceMethod<&PlanePort::openSocket>("openSocket"),
                         InstanceMethod<&PlanePort::openFramePort>("openFramePort"),
                         InstanceMethod<&PlanePort::closeSocket>("closeSocket"),
                         InstanceMethod<&PlanePort::deliver>("deliver"),
                         InstanceMethod<&PlanePort::setMark>("setMark"),
                         InstanceMethod<&PlanePort::setMtu>("setMtu"),
                         InstanceMethod<&PlanePort::hasPeer>("hasPeer"),
                         InstanceMethod<&PlanePort::addPeer>("addPeer"),
                         InstanceMethod<&PlanePort::removePeer>("removePeer"),
                         InstanceMethod<&PlanePort::changeAllowedIps>("changeAllowedIps"),
                         InstanceMethod<&PlanePort::setPath>("setPath"),
                         InstanceMethod<&PlanePort::installKeypair>("installKeypair"),
                         InstanceMethod<&PlanePort::removeKeypairs>("removeKeypairs"),
                         InstanceMethod<&PlanePort::sendKeepalive>("sendKeepalive"),
                         InstanceMethod<&PlanePort::setKeepaliveInterval>("setKeepaliveInterval"),
                         InstanceMethod<&PlanePort::dropStaged>("dropStaged"),
                         InstanceMethod<&PlanePort::setRoaming>("setRoaming"),
                         InstanceMethod<&PlanePort::sendDatagram>("sendDatagram"),
                         InstanceMethod<&PlanePort::takeEvents>("takeEvents"),
                         InstanceMethod<&PlanePort::isIdle>("isIdle"),
                         InstanceMethod<&PlanePort::stop>("stop"),
                     });
}

PlanePort::PlanePort(const Napi::CallbackInfo& info) : Napi::ObjectWrap<PlanePort>(info) {
  const Napi::Env env = info.Env();
  // The worker is being terminated: nobody would ever stop what is started here.
  if (IsEmpty()) return;
  if (!info[0].IsObject() || !info[1].IsFunction()) {
    throwError(env, Error{EINVAL, "Plane"});
    return;
  }
  const Napi::Object options = info[0].As<Napi::Object>();
  Result<DataPlaneOptions> parsed = toPlaneOptions(options);
  if (!succeeded(env, parsed)) return;
  Result<std::unique_ptr<DataPlane>> plane = DataPlane::create(parsed.value());
  if (!succeeded(env, plane)) return;
  auto readiness = Readiness::create(env, plane.value()->eventFd(), [this](int status) { handleReady(status); });
  if (!succeeded(env, readiness)) return;
  plane_ = std::move(plane.value());
  readiness_ = std::move(readiness.value());
  onReady_ = Napi::Persistent(info[1].As<Napi::Function>());
  blocks_ = Napi::Reference<Napi::Value>::New(options.Get("blocks"), 1);
  readiness_->setWatching(true);
  napi_add_env_cleanup_hook(env, onEnvironmentEnd, this);
  Ref();
}

PlanePort::~PlanePort() {
  if (readiness_) readiness_->close();
}

std::optional<size_t> PlanePort::toPeerSlot(const Napi::CallbackInfo& info) {
  // Calls that come after the end have nothing to do.
  if (!plane_) return std::nullopt;
  const std::optional<uint32_t> slot = tryUint32(info[0]);
  if (slot && plane_->hasPeer(*slot)) return *slot;
  throwError(info.Env(), Error{EINVAL, "slot"});
  return std::nullopt;
}

Napi::Value PlanePort::describe(const Napi::CallbackInfo& info) {
  return fromDescription(info.Env(), plane_ ? plane_->describe() : PlaneDescription{});
}

// --- sockets -------------------------------------------------------------------------------------

// (family, port, mark, address | undefined): {socket, port}.
Napi::Value PlanePort::openSocket(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::optional<uint32_t> port = tryUint32(info[1]);
  if (!plane_ || !port || *port > UINT16_MAX) {
    throwError(env, Error{plane_ ? EINVAL : ESHUTDOWN, "socket"});
    return env.Undefined();
  }
  UdpOptions options;
  options.family = static_cast<int>(toUint32(info[0]));
  options.port = static_cast<uint16_t>(*port);
  options.mark = toUint32(info[2]);
  options.address = toBytes(info[3]);
  Result<DataPlane::OpenedSocket> opened = plane_->openSocket(options);
  if (!succeeded(env, opened)) return env.Undefined();
  Napi::Object result = Napi::Object::New(env);
  result.Set("socket", Napi::Number::New(env, opened.value().id));
  result.Set("port", Napi::Number::New(env, opened.value().port));
  return result;
}

Napi::Value PlanePort::openFramePort(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), plane_ ? plane_->openFramePort() : 0);
}

// (port, remote, port number, bytes, segment bytes): the bytes are opened in place.
void PlanePort::deliver(const Napi::CallbackInfo& info) {
  if (!plane_) return;
  Addresses addresses;
  const ByteView remote = toBytes(info[1]);
  if (remote.size == sizeof(addresses.remote)) std::memcpy(addresses.remote, remote.data, remote.size);
  addresses.remotePort = static_cast<uint16_t>(toUint32(info[2]));
  const ByteView bytes = toBytes(info[3]);
  plane_->deliver(toUint32(info[0]), addresses, const_cast<uint8_t*>(bytes.data), bytes.size, toUint32(info[4]));
}

void PlanePort::closeSocket(const Napi::CallbackInfo& info) {
  if (plane_) plane_->closeSocket(toUint32(info[0]));
}

void PlanePort::setMark(const Napi::CallbackInfo& info) {
  if (plane_) succeeded(info.Env(), plane_->setMark(toUint32(info[0])));
}

void PlanePort::setMtu(const Napi::CallbackInfo& info) {
  if (plane_) plane_->setMtu(toUint32(info[0]));
}

// (socket, remote, port, scope, local | undefined, tos, bytes, hops): whether the socket took it.
Napi::Value PlanePort::sendDatagram(const Napi::CallbackInfo& info) {
  DatagramInfo datagram{toAddresses(info, 1), static_cast<uint8_t>(toUint32(info[5])), 0,
                        static_cast<uint8_t>(toUint32(info[7]))};
  const bool isTaken = plane_ && plane_->sendDatagram(toUint32(info[0]), datagram, toBytes(info[6]));
  return Napi::Boolean::New(info.Env(), isTaken);
}

// --- peers ---------------------------------------------------------------------------------------

Napi::Value PlanePort::hasPeer(const Napi::CallbackInfo& info) {
  const std::optional<uint32_t> slot = tryUint32(info[0]);
  return Napi::Boolean::New(info.Env(), plane_ && slot && plane_->hasPeer(*slot));
}

// The slot is below the capacity and free.
void PlanePort::addPeer(const Napi::CallbackInfo& info) {
  if (plane_) plane_->addPeer(toUint32(info[0]));
}

Napi::Value PlanePort::removePeer(const Napi::CallbackInfo& info) {
  const std::optional<size_t> slot = toPeerSlot(info);
  return slot ? fromIndices(info.Env(), plane_->removePeer(*slot)) : fromIndices(info.Env(), {});
}

// (Uint8Array of entries: see plane-values.h)
void PlanePort::changeAllowedIps(const Napi::CallbackInfo& info) {
  if (plane_) plane_->changeAllowedIps(toAllowedIps(toBytes(info[0])));
}

// (slot, socket, remote, port, scope, local | undefined); (slot) clears it.
void PlanePort::setPath(const Napi::CallbackInfo& info) {
  const std::optional<size_t> slot = toPeerSlot(info);
  if (!slot) return;
  if (info.Length() == 1)
    plane_->clearPath(*slot);
  else
    plane_->setPath(*slot, toUint32(info[1]), toAddresses(info, 2));
}

// (slot, localIndex, remoteIndex, sendKey, receiveKey, isInitiator, createdAtMs, firstCounter): local
// indices of what fell out.
Napi::Value PlanePort::installKeypair(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::optional<size_t> slot = toPeerSlot(info);
  if (!slot) return fromIndices(env, {});
  KeypairMaterial material;
  const bool isWhole = toKeypairMaterial(info, 1, material);
  if (isWhole) return fromIndices(env, plane_->installKeypair(*slot, material));
  throwError(env, Error{EINVAL, "keypair"});
  return env.Undefined();
}

Napi::Value PlanePort::removeKeypairs(const Napi::CallbackInfo& info) {
  const std::optional<size_t> slot = toPeerSlot(info);
  return slot ? fromIndices(info.Env(), plane_->removeKeypairs(*slot)) : fromIndices(info.Env(), {});
}

void PlanePort::sendKeepalive(const Napi::CallbackInfo& info) {
  if (const std::optional<size_t> slot = toPeerSlot(info)) plane_->sendKeepalive(*slot);
}

// (slot, milliseconds)
void PlanePort::setKeepaliveInterval(const Napi::CallbackInfo& info) {
  if (const std::optional<size_t> slot = toPeerSlot(info)) plane_->setKeepaliveInterval(*slot, toUint32(info[1]));
}

void PlanePort::dropStaged(const Napi::CallbackInfo& info) {
  if (const std::optional<size_t> slot = toPeerSlot(info)) plane_->dropStaged(*slot);
}

// (slot, whether)
void PlanePort::setRoaming(const Napi::CallbackInfo& info) {
  if (const std::optional<size_t> slot = toPeerSlot(info)) plane_->setRoaming(*slot, toBoolean(info[1]));
}

// --- events and end ------------------------------------------------------------------------------

Napi::Value PlanePort::takeEvents(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array events = Napi::Array::New(env);
  if (!plane_) return events;
  uint32_t at = 0;
  for (const PlaneEvent& event : plane_->takeEvents()) events.Set(at++, fromEvent(env, event));
  return events;
}

Napi::Value PlanePort::isIdle(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), !plane_ || plane_->isIdle());
}

void PlanePort::stop(const Napi::CallbackInfo& /* info */) { shut(); }

void PlanePort::handleReady(int status) {
  const Napi::Env env = Env();
  const Napi::HandleScope scope(env);
  if (status == 0) callFromLoop(onReady_, Napi::Number::New(env, 0));
}

void PlanePort::onEnvironmentEnd(void* self) {
  auto* const port = static_cast<PlanePort*>(self);
  port->readiness_->close();
  port->plane_.reset();
}

void PlanePort::shut() {
  if (!plane_) return;
  napi_remove_env_cleanup_hook(Env(), onEnvironmentEnd, this);
  readiness_->close();
  plane_.reset();
  onReady_.Reset();
  blocks_.Reset();
  Unref();
}

}  // namespace overlay
