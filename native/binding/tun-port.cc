#include "tun-port.h"

#include "../core/errno-name.h"
#include "convert.h"
#include "network.h"

namespace overlay {

Napi::Function TunPort::define(Napi::Env env) {
  return DefineClass(env, "Tun",
                     {
                         InstanceMethod<&TunPort::name>("name"),
                         InstanceMethod<&TunPort::linkIndex>("linkIndex"),
                         InstanceMethod<&TunPort::fd>("fd"),
                         InstanceMethod<&TunPort::place>("place"),
                         InstanceMethod<&TunPort::setWatching>("setWatching"),
                         InstanceMethod<&TunPort::readBatch>("readBatch"),
                         InstanceMethod<&TunPort::writeBatch>("writeBatch"),
                         InstanceMethod<&TunPort::close>("close"),
                     });
}

TunPort::TunPort(const Napi::CallbackInfo& info) : Napi::ObjectWrap<TunPort>(info) {
  const Napi::Env env = info.Env();
  // The worker is being terminated: nobody would ever close what is opened here.
  if (IsEmpty()) return;
  if (!info[1].IsFunction()) {
    throwError(env, Error{EINVAL, "Tun"});
    return;
  }
  Result<Tun> tun =
      info[0].IsNumber() ? Tun::adopt(UniqueFd(toFd(info[0]))) : Tun::create(toText(info[0]), toBoolean(info[2]));
  if (!succeeded(env, tun)) return;
  auto readiness = Readiness::create(env, tun.value().fd(), [this](int status) { handleReady(status); });
  if (!succeeded(env, readiness)) return;
  tun_.emplace(std::move(tun.value()));
  readiness_ = std::move(readiness.value());
  onReady_ = Napi::Persistent(info[1].As<Napi::Function>());
  Ref();
}

TunPort::~TunPort() {
  if (readiness_) readiness_->close();
}

Napi::Value TunPort::name(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), tun_ ? tun_->name() : std::string());
}

Napi::Value TunPort::linkIndex(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), tun_ ? tun_->linkIndex() : 0);
}

Napi::Value TunPort::fd(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), tun_ ? tun_->fd() : -1);
}

// (withAddresses): { namespaceId, isAway, addresses, link or nothing }, or nothing if the interface is gone.
Napi::Value TunPort::place(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!tun_) return env.Undefined();
  Result<TunPlace> result = tun_->place(toBoolean(info[0]));
  if (!result.ok() && result.error().code == EBADFD) return env.Undefined();
  if (!succeeded(env, result)) return env.Undefined();
  const TunPlace& place = result.value();
  Napi::Array addresses = Napi::Array::New(env, place.addresses.size());
  for (uint32_t i = 0; i < place.addresses.size(); i++) addresses.Set(i, fromPrefix(env, place.addresses[i].prefix));
  Napi::Object object = Napi::Object::New(env);
  object.Set("namespaceId", static_cast<double>(place.namespaceId));
  object.Set("isAway", place.isAway);
  object.Set("addresses", addresses);
  if (place.link) object.Set("link", fromLink(env, *place.link));
  return object;
}

void TunPort::setWatching(const Napi::CallbackInfo& info) {
  if (readiness_) readiness_->setWatching(toBoolean(info[0]));
}

// (bytes, stride, headroom, lengths): packets read, or an errno name if the interface is gone.
Napi::Value TunPort::readBatch(const Napi::CallbackInfo& info) {
  if (!tun_) return Napi::Number::New(info.Env(), 0);
  Result<size_t> count = tun_->readBatch(toSlab(info, 0));
  if (!count.ok()) return Napi::String::New(info.Env(), errnoName(count.error().code));
  return Napi::Number::New(info.Env(), static_cast<double>(count.value()));
}

// (bytes, stride, headroom, lengths, count): packets taken.
Napi::Value TunPort::writeBatch(const Napi::CallbackInfo& info) {
  const size_t written = tun_ ? tun_->writeBatch(toSlab(info, 0), toUint32(info[4])) : 0;
  return Napi::Number::New(info.Env(), static_cast<double>(written));
}

void TunPort::close(const Napi::CallbackInfo& /* info */) { shut(); }

void TunPort::handleReady(int status) {
  const Napi::Env env = Env();
  const Napi::HandleScope scope(env);
  if (status == 0) return callFromLoop(onReady_, Napi::Number::New(env, 0));
  const int error = tun_->pendingError();
  callFromLoop(onReady_, Napi::String::New(env, errnoName(error == 0 ? -status : error)));
}

void TunPort::shut() {
  if (!tun_) return;
  readiness_->close();
  tun_.reset();
  onReady_.Reset();
  Unref();
}

}  // namespace overlay
