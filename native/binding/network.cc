#include "network.h"

#include "../core/routes.h"
#include "../core/rules.h"
#include "convert.h"

namespace overlay {
namespace {

// --- values ----------------------------------------------------------------------------------

IpBytes toIp(Napi::Value address) {
  if (!address.IsObject()) return {};
  return IpBytes::from(toBytes(address.As<Napi::Object>().Get("bytes"))).value_or(IpBytes());
}

Napi::Object fromIp(Napi::Env env, const IpBytes& ip) {
  Napi::Object address = Napi::Object::New(env);
  address.Set("family", ip.size == 4 ? 4 : 6);
  address.Set("bytes", fromBytes(env, ip.view()));
  return address;
}

IpPrefix toPrefix(Napi::Value value) {
  if (!value.IsObject()) return {};
  const Napi::Object prefix = value.As<Napi::Object>();
  return {toIp(prefix.Get("address")), static_cast<uint8_t>(toUint32(prefix.Get("bits")))};
}

uint8_t toFamily(Napi::Value value) { return toUint32(value) == 4 ? AF_INET : AF_INET6; }

std::optional<uint32_t> toOptional(Napi::Value value) {
  if (!value.IsNumber()) return std::nullopt;
  return toUint32(value);
}

void setOptional(Napi::Object object, const char* name, const std::optional<uint32_t>& value) {
  if (value) object.Set(name, Napi::Number::New(object.Env(), *value));
}

Route toRoute(Napi::Value value) {
  if (!value.IsObject()) return {};
  const Napi::Object object = value.As<Napi::Object>();
  Route route;
  route.prefix = toPrefix(object.Get("prefix"));
  route.linkIndex = toUint32(object.Get("linkIndex"));
  route.table = toUint32(object.Get("table"));
  if (const Napi::Value gateway = object.Get("gateway"); gateway.IsObject()) route.gateway = toIp(gateway);
  return route;
}

Napi::Object fromRoute(Napi::Env env, const Route& route) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("prefix", fromPrefix(env, route.prefix));
  object.Set("linkIndex", route.linkIndex);
  object.Set("table", route.table);
  if (route.gateway) object.Set("gateway", fromIp(env, *route.gateway));
  return object;
}

Rule toRule(Napi::Value value) {
  if (!value.IsObject()) return {};
  const Napi::Object object = value.As<Napi::Object>();
  Rule rule;
  rule.family = toFamily(object.Get("family"));
  rule.priority = toOptional(object.Get("priority"));
  rule.mark = toOptional(object.Get("mark"));
  rule.mask = toOptional(object.Get("mask"));
  rule.isInverted = object.Get("invert").ToBoolean();
  rule.table = toUint32(object.Get("table"));
  rule.suppressPrefixLength = toOptional(object.Get("suppressPrefixLength"));
  return rule;
}

Napi::Object fromRule(Napi::Env env, const Rule& rule) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("family", rule.family == AF_INET ? 4 : 6);
  setOptional(object, "priority", rule.priority);
  setOptional(object, "mark", rule.mark);
  setOptional(object, "mask", rule.mask);
  object.Set("invert", rule.isInverted);
  object.Set("table", rule.table);
  setOptional(object, "suppressPrefixLength", rule.suppressPrefixLength);
  return object;
}

template <typename T, typename From>
Napi::Value fromList(Napi::Env env, Result<std::vector<T>> list, From from) {
  if (!succeeded(env, list)) return env.Undefined();
  Napi::Array array = Napi::Array::New(env, list.value().size());
  for (uint32_t i = 0; i < list.value().size(); i++) array.Set(i, from(env, list.value()[i]));
  return array;
}

// --- functions -------------------------------------------------------------------------------

// (name or index): link or undefined.
Napi::Value getLink(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Result<std::optional<LinkInfo>> link = info[0].IsNumber() ? findLink(toUint32(info[0])) : findLink(toText(info[0]));
  if (!succeeded(env, link) || !link.value()) return env.Undefined();
  return fromLink(env, *link.value());
}

// (index, isUp)
void changeLinkUp(const Napi::CallbackInfo& info) {
  succeeded(info.Env(), setLinkUp(toUint32(info[0]), info[1].ToBoolean()));
}

// (index, mtu)
void changeLinkMtu(const Napi::CallbackInfo& info) {
  succeeded(info.Env(), setLinkMtu(toUint32(info[0]), toUint32(info[1])));
}

// (index)
void dropLink(const Napi::CallbackInfo& info) { succeeded(info.Env(), deleteLink(toUint32(info[0]))); }

// (index, prefix)
void putAddress(const Napi::CallbackInfo& info) {
  succeeded(info.Env(), addAddress({toUint32(info[0]), toPrefix(info[1])}));
}

// (index, prefix)
void dropAddress(const Napi::CallbackInfo& info) {
  succeeded(info.Env(), removeAddress({toUint32(info[0]), toPrefix(info[1])}));
}

// (index): prefixes
Napi::Value getAddresses(const Napi::CallbackInfo& info) {
  return fromList(info.Env(), listAddresses(toUint32(info[0])),
                  [](Napi::Env env, const InterfaceAddress& address) { return fromPrefix(env, address.prefix); });
}

// (route, isReplacing)
void putRoute(const Napi::CallbackInfo& info) {
  succeeded(info.Env(), addRoute(toRoute(info[0]), info[1].ToBoolean()));
}

// (route)
void dropRoute(const Napi::CallbackInfo& info) { succeeded(info.Env(), removeRoute(toRoute(info[0]))); }

// (family, table or undefined): routes
Napi::Value getRoutes(const Napi::CallbackInfo& info) {
  return fromList(info.Env(), listRoutes(toFamily(info[0]), toOptional(info[1])), fromRoute);
}

// (address, mark): answer or undefined; its mtu is 0 if the route has none of its own.
Napi::Value getRouteTo(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Result<std::optional<RouteAnswer>> result = routeTo(toIp(info[0]), toUint32(info[1]));
  if (!succeeded(env, result) || !result.value()) return env.Undefined();
  const RouteAnswer& answer = *result.value();
  Napi::Object object = Napi::Object::New(env);
  object.Set("linkIndex", answer.linkIndex);
  object.Set("mtu", answer.mtu);
  if (answer.source) object.Set("source", fromIp(env, *answer.source));
  if (answer.gateway) object.Set("gateway", fromIp(env, *answer.gateway));
  return object;
}

// (rule)
void putRule(const Napi::CallbackInfo& info) { succeeded(info.Env(), addRule(toRule(info[0]))); }

// (rule)
void dropRule(const Napi::CallbackInfo& info) { succeeded(info.Env(), removeRule(toRule(info[0]))); }

// (family): rules
Napi::Value getRules(const Napi::CallbackInfo& info) {
  return fromList(info.Env(), listRules(toFamily(info[0])), fromRule);
}

}  // namespace

Napi::Object fromLink(Napi::Env env, const LinkInfo& link) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", link.name);
  object.Set("index", link.index);
  object.Set("mtu", link.mtu);
  object.Set("isUp", link.isUp);
  return object;
}

Napi::Object fromPrefix(Napi::Env env, const IpPrefix& prefix) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("address", fromIp(env, prefix.address));
  object.Set("bits", static_cast<uint32_t>(prefix.bits));
  return object;
}

void exportNetwork(Napi::Env env, Napi::Object exports) {
  exports.Set("findLink", Napi::Function::New<getLink>(env));
  exports.Set("setLinkUp", Napi::Function::New<changeLinkUp>(env));
  exports.Set("setLinkMtu", Napi::Function::New<changeLinkMtu>(env));
  exports.Set("deleteLink", Napi::Function::New<dropLink>(env));
  exports.Set("addAddress", Napi::Function::New<putAddress>(env));
  exports.Set("removeAddress", Napi::Function::New<dropAddress>(env));
  exports.Set("listAddresses", Napi::Function::New<getAddresses>(env));
  exports.Set("addRoute", Napi::Function::New<putRoute>(env));
  exports.Set("removeRoute", Napi::Function::New<dropRoute>(env));
  exports.Set("listRoutes", Napi::Function::New<getRoutes>(env));
  exports.Set("routeTo", Napi::Function::New<getRouteTo>(env));
  exports.Set("addRule", Napi::Function::New<putRule>(env));
  exports.Set("removeRule", Napi::Function::New<dropRule>(env));
  exports.Set("listRules", Napi::Function::New<getRules>(env));
}

}  // namespace overlay
