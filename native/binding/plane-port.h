// JavaScript class `Plane`: the core DataPlane, its events on the event loop, and the block memory that
// both sides share. Its typed form is src/dataplane/native/native-plane.ts.
//
// Kept alive from construction to stop(). An environment that ends joins the threads first, while the
// memory and the OpenSSL that they use are still there.
#pragma once

#include <napi.h>

#include <memory>

#include "../core/dataplane/data-plane.h"
#include "readiness.h"

namespace overlay {

class PlanePort : public Napi::ObjectWrap<PlanePort> {
 public:
  static Napi::Function define(Napi::Env env);
  // new Plane({innerFd, hasHeaders, hasOffloads, aead, threads, mtu, blocks}, onReady): onReady(0) while
  // events wait.
  explicit PlanePort(const Napi::CallbackInfo& info);
  ~PlanePort() override;

 private:
  Napi::Value describe(const Napi::CallbackInfo& info);
  Napi::Value openSocket(const Napi::CallbackInfo& info);
  Napi::Value openFramePort(const Napi::CallbackInfo& info);
  void deliver(const Napi::CallbackInfo& info);
  void closeSocket(const Napi::CallbackInfo& info);
  void setMark(const Napi::CallbackInfo& info);
  void setMtu(const Napi::CallbackInfo& info);
  Napi::Value hasPeer(const Napi::CallbackInfo& info);
  void addPeer(const Napi::CallbackInfo& info);
  Napi::Value removePeer(const Napi::CallbackInfo& info);
  void changeAllowedIps(const Napi::CallbackInfo& info);
  void setPath(const Napi::CallbackInfo& info);
  Napi::Value installKeypair(const Napi::CallbackInfo& info);
  Napi::Value removeKeypairs(const Napi::CallbackInfo& info);
  void sendKeepalive(const Napi::CallbackInfo& info);
  void setKeepaliveInterval(const Napi::CallbackInfo& info);
  void dropStaged(const Napi::CallbackInfo& info);
  void setRoaming(const Napi::CallbackInfo& info);
  Napi::Value sendDatagram(const Napi::CallbackInfo& info);
  Napi::Value takeEvents(const Napi::CallbackInfo& info);
  Napi::Value isIdle(const Napi::CallbackInfo& info);
  void stop(const Napi::CallbackInfo& info);

  // The slot of argument 0 if a peer is in it.
  std::optional<size_t> toPeerSlot(const Napi::CallbackInfo& info);
  static void onEnvironmentEnd(void* self);
  void handleReady(int status);
  void shut();

  std::unique_ptr<DataPlane> plane_;
  std::shared_ptr<Readiness> readiness_;
  Napi::FunctionReference onReady_;
  // Holds the memory of the blocks.
  Napi::Reference<Napi::Value> blocks_;
};

}  // namespace overlay
