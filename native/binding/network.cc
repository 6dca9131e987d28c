#include "network.h"

#include "../core/routes.h"
#include "../core/rules.h"
#include "convert.h"

namespace overlay {
namespace {

// --- values ----------------------------------------------------------------------------------

// Empty if there is no such thing.
Napi::Value field(Napi::Value object, const char* name) {
  return object.IsObject() ? object.As<Napi::Object>().Get(name) : Napi::Value();
}

std::optional<IpBytes> toIp(Napi::Value address) { return IpBytes::from(toBytes(field(address, "bytes"))); }

Napi::Object fromIp(Napi::Env env, const IpBytes& ip) {
  Napi::Object address = Napi::Object::New(env);
  address.Set("family", ip.size == 4 ? 4 : 6);
  address.Set("bytes", fromBytes(env, ip.view()));
  return address;
}

std::optional<IpPrefix> toPrefix(Napi::Value value) {
  const std::optional<IpBytes> address = toIp(field(value, "address"));
  const std::optional<uint32_t> bits = tryUint32(field(value, "bits"));
  if (!address || !bits || *bits > 8 * address->size) return std::nullopt;
  return IpPrefix{*address, static_cast<uint8_t>(*bits)};
}

std::optional<uint8_t> toFamily(Napi::Value value) {
  const uint32_t family = toUint32(value);
  if (family == 4) return uint8_t{AF_INET};
  if (family == 6) return uint8_t{AF_INET6};
  return std::nullopt;
}

// False if there is a value but no number.
bool readOptional(Napi::Value value, std::optional<uint32_t>& number) {
  number = tryUint32(value);
  return number || value.IsUndefined();
}

void setOptional(Napi::Object object, const char* name, const std::optional<uint32_t>& value) {
  if (value) object.Set(name, Napi::Number::New(object.Env(), *value));
}

// A change that lacks a field would hit something else: a rule of no table is any rule. So a value that
// cannot be read whole is none at all. From the moment a worker begins to end, nothing can be read: a
// field that must be there comes last, and tells for the optional ones before it.
std::optional<Route> toRoute(Napi::Value value) {
  Route route;
  if (const Napi::Value gateway = field(value, "gateway"); !gateway.IsUndefined()) {
    route.gateway = toIp(gateway);
    if (!route.gateway) return std::nullopt;
  }
  const std::optional<IpPrefix> prefix = toPrefix(field(value, "prefix"));
  route.linkIndex = toUint32(field(value, "linkIndex"));
  route.table = toUint32(field(value, "table"));
  if (!prefix || route.linkIndex == 0 || route.table == 0) return std::nullopt;
  route.prefix = *prefix;
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

// As toRoute.
std::optional<Rule> toRule(Napi::Value value) {
  const std::optional<uint8_t> family = toFamily(field(value, "family"));
  Rule rule;
  const bool areReadable = readOptional(field(value, "priority"), rule.priority) &&
                           readOptional(field(value, "mark"), rule.mark) &&
                           readOptional(field(value, "mask"), rule.mask) &&
                           readOptional(field(value, "suppressPrefixLength"), rule.suppressPrefixLength);
  rule.isInverted = toBoolean(field(value, "invert"));
  rule.table = toUint32(field(value, "table"));
  if (!family || !areReadable || rule.table == 0) return std::nullopt;
  rule.family = *family;
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
  for (uint32_t i = 0; i < list.value().size(); i++) {
    // A long list must not keep a handle of every part of it.
    const Napi::HandleScope scope(env);
    array.Set(i, from(env, list.value()[i]));
  }
  return array;
}

constexpr Error BAD_ARGUMENTS{EINVAL, "arguments"};

// Calls what changes the kernel, if its argument could be read.
template <typename T, typename Call>
void change(const Napi::CallbackInfo& info, const std::optional<T>& argument, Call call) {
  if (!argument) return throwError(info.Env(), BAD_ARGUMENTS);
  succeeded(info.Env(), call(*argument));
}

// --- functions -------------------------------------------------------------------------------

// (name or index): link or undefined.
Napi::Value getLink(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Result<std::optional<LinkInfo>> link = info[0].IsNumber() ? findLink(toUint32(info[0])) : findLink(toText(info[0]));
  if (!succeeded(env, link) || !link.value()) return env.Undefined();
  return fromLink(env, *link.value());
}

// (): links
Napi::Value getLinks(const Napi::CallbackInfo& info) { return fromList(info.Env(), listLinks(), fromLink); }

// (index, alias)
void changeLinkAlias(const Napi::CallbackInfo& info) {
  succeeded(info.Env(), setLinkAlias(toUint32(info[0]), toText(info[1])));
}

// (index, isUp)
void changeLinkUp(const Napi::CallbackInfo& info) {
  succeeded(info.Env(), setLinkUp(toUint32(info[0]), toBoolean(info[1])));
}

// (index, mtu)
void changeLinkMtu(const Napi::CallbackInfo& info) {
  succeeded(info.Env(), setLinkMtu(toUint32(info[0]), toUint32(info[1])));
}

// (index)
void dropLink(const Napi::CallbackInfo& info) { succeeded(info.Env(), deleteLink(toUint32(info[0]))); }

// (index, prefix)
void putAddress(const Napi::CallbackInfo& info) {
  change(info, toPrefix(info[1]), [&](const IpPrefix& prefix) { return addAddress({toUint32(info[0]), prefix}); });
}

// (index, prefix)
void dropAddress(const Napi::CallbackInfo& info) {
  change(info, toPrefix(info[1]), [&](const IpPrefix& prefix) { return removeAddress({toUint32(info[0]), prefix}); });
}

// (route, isReplacing)
void putRoute(const Napi::CallbackInfo& info) {
  change(info, toRoute(info[0]), [&](const Route& route) { return addRoute(route, toBoolean(info[1])); });
}

// (route)
void dropRoute(const Napi::CallbackInfo& info) { change(info, toRoute(info[0]), removeRoute); }

// (family, table or undefined): routes
Napi::Value getRoutes(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::optional<uint8_t> family = toFamily(info[0]);
  std::optional<uint32_t> table;
  if (!family || !readOptional(info[1], table)) return fromList<Route>(env, BAD_ARGUMENTS, fromRoute);
  return fromList(env, listRoutes(*family, table), fromRoute);
}

// (address, mark): answer or undefined; its mtu is 0 if the route has none of its own.
Napi::Value getRouteTo(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::optional<IpBytes> address = toIp(info[0]);
  Result<std::optional<RouteAnswer>> result = BAD_ARGUMENTS;
  if (address) result = routeTo(*address, toUint32(info[1]));
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
void putRule(const Napi::CallbackInfo& info) { change(info, toRule(info[0]), addRule); }

// (rule)
void dropRule(const Napi::CallbackInfo& info) { change(info, toRule(info[0]), removeRule); }

// (family): rules
Napi::Value getRules(const Napi::CallbackInfo& info) {
  const std::optional<uint8_t> family = toFamily(info[0]);
  if (!family) return fromList<Rule>(info.Env(), BAD_ARGUMENTS, fromRule);
  return fromList(info.Env(), listRules(*family), fromRule);
}

}  // namespace

Napi::Object fromLink(Napi::Env env, const LinkInfo& link) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", link.name);
  object.Set("index", link.index);
  object.Set("mtu", link.mtu);
  object.Set("isUp", link.isUp);
  object.Set("isTunnel", link.isTunnel);
  object.Set("alias", link.alias);
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
  exports.Set("listLinks", Napi::Function::New<getLinks>(env));
  exports.Set("setLinkAlias", Napi::Function::New<changeLinkAlias>(env));
  exports.Set("setLinkUp", Napi::Function::New<changeLinkUp>(env));
  exports.Set("setLinkMtu", Napi::Function::New<changeLinkMtu>(env));
  exports.Set("deleteLink", Napi::Function::New<dropLink>(env));
  exports.Set("addAddress", Napi::Function::New<putAddress>(env));
  exports.Set("removeAddress", Napi::Function::New<dropAddress>(env));
  exports.Set("addRoute", Napi::Function::New<putRoute>(env));
  exports.Set("removeRoute", Napi::Function::New<dropRoute>(env));
  exports.Set("listRoutes", Napi::Function::New<getRoutes>(env));
  exports.Set("routeTo", Napi::Function::New<getRouteTo>(env));
  exports.Set("addRule", Napi::Function::New<putRule>(env));
  exports.Set("removeRule", Napi::Function::New<dropRule>(env));
  exports.Set("listRules", Napi::Function::New<getRules>(env));
}

}  // namespace overlay
