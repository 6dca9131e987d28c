#include "udp-port.h"

#include "convert.h"

namespace overlay {

Napi::Function UdpPort::define(Napi::Env env) {
  return DefineClass(env, "Udp",
                     {
                         InstanceMethod<&UdpPort::port>("port"),
                         InstanceMethod<&UdpPort::setWatching>("setWatching"),
                         InstanceMethod<&UdpPort::receiveBatch>("receiveBatch"),
                         InstanceMethod<&UdpPort::sendBatch>("sendBatch"),
                         InstanceMethod<&UdpPort::setMark>("setMark"),
                         InstanceMethod<&UdpPort::close>("close"),
                     });
}

UdpPort::UdpPort(const Napi::CallbackInfo& info) : Napi::ObjectWrap<UdpPort>(info) {
  const Napi::Env env = info.Env();
  // The worker is being terminated: nobody would ever close what is opened here.
  if (IsEmpty()) return;
  const std::optional<uint32_t> port = tryUint32(info[1]);
  if (!info[4].IsFunction() || !port || *port > UINT16_MAX) {
    throwError(env, Error{EINVAL, "Udp"});
    return;
  }
  UdpOptions options;
  options.family = static_cast<int>(toUint32(info[0]));
  options.port = static_cast<uint16_t>(*port);
  options.mark = toUint32(info[2]);
  options.address = toBytes(info[3]);
  Result<UdpSocket> socket = UdpSocket::open(options);
  if (!succeeded(env, socket)) return;
  auto readiness = Readiness::create(env, socket.value().fd(), [this](int status) { handleReady(status); });
  if (!succeeded(env, readiness)) return;
  socket_.emplace(std::move(socket.value()));
  readiness_ = std::move(readiness.value());
  onReady_ = Napi::Persistent(info[4].As<Napi::Function>());
  Ref();
}

UdpPort::~UdpPort() {
  if (readiness_) readiness_->close();
}

Napi::Value UdpPort::port(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), socket_ ? socket_->port() : 0);
}

void UdpPort::setWatching(const Napi::CallbackInfo& info) {
  if (readiness_) readiness_->setWatching(toBoolean(info[0]));
}

// (bytes, stride, headroom, lengths, remote, remotePort, remoteScope, local, tos): datagrams received.
Napi::Value UdpPort::receiveBatch(const Napi::CallbackInfo& info) {
  Slab slab = toSlab(info, 0);
  const DatagramHeaders headers = toHeaders(info, 4, slab);
  const size_t received = socket_ ? socket_->receiveBatch(slab, headers) : 0;
  return Napi::Number::New(info.Env(), static_cast<double>(received));
}

// (as receiveBatch, then count, hops): datagrams taken.
Napi::Value UdpPort::sendBatch(const Napi::CallbackInfo& info) {
  Slab slab = toSlab(info, 0);
  const DatagramHeaders headers = toHeaders(info, 4, slab);
  const size_t taken =
      socket_ ? socket_->sendBatch(slab, headers, toUint32(info[9]), static_cast<uint8_t>(toUint32(info[10]))) : 0;
  return Napi::Number::New(info.Env(), static_cast<double>(taken));
}

void UdpPort::setMark(const Napi::CallbackInfo& info) {
  if (socket_) succeeded(info.Env(), socket_->setMark(toUint32(info[0])));
}

void UdpPort::close(const Napi::CallbackInfo& /* info */) {
  if (!socket_) return;
  readiness_->close();
  socket_.reset();
  onReady_.Reset();
  Unref();
}

void UdpPort::handleReady(int status) {
  const Napi::Env env = Env();
  const Napi::HandleScope scope(env);
  if (status != 0) {
    // The error of one datagram is no error of the socket: watch on. A call to send that came between
    // may have taken it already.
    if (socket_->takeError()) readiness_->setWatching(true);
    return;
  }
  callFromLoop(onReady_, Napi::Number::New(env, 0));
}

}  // namespace overlay
