#include "plane-values.h"

#include <cstring>
#include <string>

#include "../core/errno-name.h"
#include "convert.h"

namespace overlay {
namespace {

Napi::Value fromAddress(Napi::Env env, int family, const uint8_t* address) {
  return fromBytes(env, {address, family == 4 ? 4U : 16U});
}

void setPath(Napi::Env env, Napi::Object& object, const PlaneEvent& event) {
  object.Set("socket", Napi::Number::New(env, event.socket));
  object.Set("remote", fromAddress(env, event.family, event.addresses.remote));
  object.Set("port", Napi::Number::New(env, event.addresses.remotePort));
  object.Set("scope", Napi::Number::New(env, event.addresses.remoteScope));
  if (event.addresses.hasLocal()) object.Set("local", fromAddress(env, event.family, event.addresses.local));
}

}  // namespace

Result<DataPlaneOptions> toPlaneOptions(const Napi::Object& options) {
  DataPlaneOptions result;
  const Napi::Value blocks = options.Get("blocks");
  if (!blocks.IsTypedArray() || blocks.As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) {
    return Error{EINVAL, "blocks"};
  }
  Napi::Float64Array fields = blocks.As<Napi::Float64Array>();
  const size_t count = fields.ElementLength() / BLOCK_FIELDS;
  if (count == 0) return Error{EINVAL, "blocks"};
  result.blocks = PeerBlocks(fields.Data(), count - 1);
  const std::string aead = toText(options.Get("aead"));
  Result<AeadChoice> choice = aead.empty() ? chooseAead() : chooseAead(aead);
  if (!choice.ok()) return choice.error();
  result.aead = choice.value();
  result.innerFd = toFd(options.Get("innerFd"));
  result.hasHeaders = toBoolean(options.Get("hasHeaders"));
  if (!toBoolean(options.Get("hasOffloads"))) result.offloads = Offloads{};
  result.threads = toUint32(options.Get("threads"));
  result.mtu = toUint32(options.Get("mtu"));
  return result;
}

Addresses toAddresses(const Napi::CallbackInfo& info, size_t first) {
  Addresses addresses;
  const ByteView remote = toBytes(info[first]);
  const ByteView local = toBytes(info[first + 3]);
  if (remote.size <= sizeof(addresses.remote) && remote.size > 0) {
    std::memcpy(addresses.remote, remote.data, remote.size);
  }
  if (local.size <= sizeof(addresses.local) && local.size > 0) std::memcpy(addresses.local, local.data, local.size);
  addresses.remotePort = static_cast<uint16_t>(toUint32(info[first + 1]));
  addresses.remoteScope = toUint32(info[first + 2]);
  return addresses;
}

std::vector<AllowedIp> toAllowedIps(ByteView bytes) {
  std::vector<AllowedIp> table;
  for (size_t at = 0; at + ALLOWED_IP_BYTES <= bytes.size; at += ALLOWED_IP_BYTES) {
    const uint8_t* const entry = bytes.data + at;
    AllowedIp allowed{entry[0], entry + 8, entry[1], 0};
    std::memcpy(&allowed.slot, entry + 4, sizeof(allowed.slot));
    const bool isWhole = (allowed.version == 4 && allowed.bits <= 32) || (allowed.version == 6 && allowed.bits <= 128);
    if (isWhole) table.push_back(allowed);
  }
  return table;
}

bool toKeypairMaterial(const Napi::CallbackInfo& info, size_t first, KeypairMaterial& material) {
  const ByteView sendKey = toBytes(info[first + 2]);
  const ByteView receiveKey = toBytes(info[first + 3]);
  if (sendKey.size != AEAD_KEY_BYTES || receiveKey.size != AEAD_KEY_BYTES) return false;
  if (!info[first + 5].IsNumber() || !info[first + 6].IsBigInt()) return false;
  material.localIndex = toUint32(info[first]);
  material.remoteIndex = toUint32(info[first + 1]);
  std::memcpy(material.sendKey.data(), sendKey.data, sendKey.size);
  std::memcpy(material.receiveKey.data(), receiveKey.data, receiveKey.size);
  material.isInitiator = toBoolean(info[first + 4]);
  material.createdAtMs = info[first + 5].As<Napi::Number>().DoubleValue();
  bool isExact = false;
  material.firstCounter = info[first + 6].As<Napi::BigInt>().Uint64Value(&isExact);
  return isExact;
}

Napi::Value fromIndices(Napi::Env env, const std::vector<uint32_t>& indices) {
  Napi::Array array = Napi::Array::New(env, indices.size());
  for (uint32_t i = 0; i < indices.size(); i++) array.Set(i, Napi::Number::New(env, indices[i]));
  return array;
}

Napi::Value fromDescription(Napi::Env env, const PlaneDescription& description) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("aead", Napi::String::New(env, description.aead));
  object.Set("threads", Napi::Number::New(env, static_cast<double>(description.threads)));
  Napi::Array offloads = Napi::Array::New(env);
  const auto add = [&](bool isUsed, const char* name) {
    if (isUsed) offloads.Set(offloads.Length(), Napi::String::New(env, name));
  };
  add(description.offloads.innerTcp, "TSO");
  add(description.offloads.innerUdp, "USO");
  add(description.offloads.outerSend, "GSO");
  add(description.offloads.outerReceive, "GRO");
  object.Set("offloads", offloads);
  return object;
}

Napi::Value fromEvent(Napi::Env env, const PlaneEvent& event) {
  Napi::Object object = Napi::Object::New(env);
  const auto setKind = [&](const char* kind) { object.Set("kind", Napi::String::New(env, kind)); };
  object.Set("slot", Napi::Number::New(env, static_cast<double>(event.slot)));
  object.Set("localIndex", Napi::Number::New(env, event.localIndex));
  switch (event.kind) {
    case PlaneEvent::Kind::datagram:
      setKind("datagram");
      setPath(env, object, event);
      object.Set("bytes", fromBytes(env, {event.bytes.data(), event.bytes.size()}));
      break;
    case PlaneEvent::Kind::handshakeNeeded:
      setKind("handshakeNeeded");
      break;
    case PlaneEvent::Kind::keypairConfirmed:
      setKind("keypairConfirmed");
      object.Set("removed", fromIndices(env, {event.removed.begin(),
                                              event.removed.begin() + static_cast<ptrdiff_t>(event.removedCount)}));
      break;
    case PlaneEvent::Kind::sourceChanged:
      setKind("sourceChanged");
      setPath(env, object, event);
      break;
    case PlaneEvent::Kind::frames:
      setKind("frames");
      setPath(env, object, event);
      object.Set("bytes", fromBytes(env, {event.bytes.data(), event.bytes.size()}));
      object.Set("segmentBytes", Napi::Number::New(env, static_cast<double>(event.segmentBytes)));
      object.Set("isControl", Napi::Boolean::New(env, event.isControl));
      break;
    case PlaneEvent::Kind::failed:
      setKind("failed");
      object.Set("errno", Napi::String::New(env, errnoName(event.error.code)));
      object.Set("syscall", Napi::String::New(env, event.error.syscall));
      break;
  }
  return object;
}

Napi::Value fromUsableAeads(Napi::Env env) {
  Napi::Array names = Napi::Array::New(env);
  for (const std::string& name : usableAeads()) names.Set(names.Length(), Napi::String::New(env, name));
  return names;
}

Napi::Object planeLayout(Napi::Env env) {
  Napi::Object layout = Napi::Object::New(env);
  const auto set = [&](const char* name, double value) { layout.Set(name, Napi::Number::New(env, value)); };
  set("blockFields", static_cast<double>(BLOCK_FIELDS));
  std::string reasons;
  for (const DropName& drop : DROP_NAMES) reasons += (reasons.empty() ? "" : " ") + std::string(drop.name);
  layout.Set("dropReasons", Napi::String::New(env, reasons));
  set("allowedIpBytes", static_cast<double>(ALLOWED_IP_BYTES));
  set("frameHeadroomBytes", static_cast<double>(FRAME_HEADROOM_BYTES));
  set("maxStagedPackets", static_cast<double>(MAX_STAGED_PACKETS));
  set("replayWindowCounters", static_cast<double>(REPLAY_WINDOW_COUNTERS));
  set("keepaliveTimeoutMs", KEEPALIVE_TIMEOUT_MS);
  set("rekeyAfterTimeMs", REKEY_AFTER_TIME_MS);
  set("rejectAfterTimeMs", REJECT_AFTER_TIME_MS);
  set("rekeyOnReceiveMs", REKEY_ON_RECEIVE_MS);
  layout.Set("rekeyAfterMessages", Napi::BigInt::New(env, REKEY_AFTER_MESSAGES));
  layout.Set("rejectAfterMessages", Napi::BigInt::New(env, REJECT_AFTER_MESSAGES));
  return layout;
}

}  // namespace overlay
