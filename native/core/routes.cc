#include "routes.h"

#include "netlink-socket.h"

namespace overlay {
namespace {

// RTA_VIA: a gateway of the other family.
std::optional<IpBytes> parseVia(ByteView value) {
  constexpr size_t familyBytes = sizeof(rtvia::rtvia_family);
  if (value.size < familyBytes) return std::nullopt;
  return IpBytes::from({value.data + familyBytes, value.size - familyBytes});
}

std::optional<IpBytes> parseGateway(const AttributeView& attribute) {
  return attribute.type == RTA_VIA ? parseVia(attribute.value) : IpBytes::from(attribute.value);
}

bool isGateway(const AttributeView& attribute) { return attribute.type == RTA_GATEWAY || attribute.type == RTA_VIA; }

// One route for each hop, alike but for link and gateway.
std::vector<Route> parseHops(const Route& common, ByteView rest) {
  std::vector<Route> routes;
  while (const std::optional<rtnexthop> hop = readStruct<rtnexthop>(rest)) {
    if (hop->rtnh_len < sizeof(rtnexthop) || hop->rtnh_len > rest.size) break;
    Route route = common;
    route.linkIndex = static_cast<uint32_t>(hop->rtnh_ifindex);
    forEachAttribute({rest.data, hop->rtnh_len}, sizeof(rtnexthop), [&](const AttributeView& attribute) {
      if (isGateway(attribute)) route.gateway = parseGateway(attribute);
    });
    routes.push_back(route);
    const size_t step = std::min<size_t>(RTNH_ALIGN(hop->rtnh_len), rest.size);
    rest = {rest.data + step, rest.size - step};
  }
  return routes;
}

Result<void> change(NetlinkMessage message, const Route& route, uint8_t scope) {
  rtmsg body{};
  body.rtm_family = route.prefix.address.family();
  body.rtm_dst_len = route.prefix.bits;
  // The byte holds tables to 255 only; the attribute says it whole.
  body.rtm_table = route.table < 256 ? static_cast<uint8_t>(route.table) : uint8_t{RT_TABLE_UNSPEC};
  body.rtm_protocol = RTPROT_STATIC;
  body.rtm_scope = scope;
  body.rtm_type = RTN_UNICAST;
  message.put(body);
  message.putAttribute(RTA_DST, route.prefix.address.view());
  message.putUint32(RTA_TABLE, route.table);
  message.putUint32(RTA_OIF, route.linkIndex);
  if (route.gateway) message.putAttribute(RTA_GATEWAY, route.gateway->view());
  return changeOnce(message);
}

bool isUnreachable(int code) {
  return code == ENETUNREACH || code == EHOSTUNREACH || code == ENETDOWN || code == EACCES || code == EINVAL;
}

uint32_t parseRouteMtu(ByteView metrics) {
  uint32_t mtu = 0;
  forEachAttribute(metrics, 0, [&](const AttributeView& metric) {
    if (metric.type == RTAX_MTU) mtu = readUint32(metric.value);
  });
  return mtu;
}

std::optional<RouteAnswer> parseAnswer(ByteView body) {
  const std::optional<rtmsg> fixed = readStruct<rtmsg>(body);
  if (!fixed || (fixed->rtm_type != RTN_UNICAST && fixed->rtm_type != RTN_LOCAL)) return std::nullopt;
  RouteAnswer answer;
  forEachAttribute(body, sizeof(rtmsg), [&](const AttributeView& attribute) {
    if (attribute.type == RTA_OIF) answer.linkIndex = readUint32(attribute.value);
    if (attribute.type == RTA_PREFSRC) answer.source = IpBytes::from(attribute.value);
    if (attribute.type == RTA_METRICS) answer.mtu = parseRouteMtu(attribute.value);
    if (isGateway(attribute)) answer.gateway = parseGateway(attribute);
  });
  return answer;
}

}  // namespace

std::vector<Route> parseRoutes(ByteView body) {
  const std::optional<rtmsg> fixed = readStruct<rtmsg>(body);
  const bool isCached = fixed && (fixed->rtm_flags & RTM_F_CLONED) != 0;
  if (!fixed || isCached || fixed->rtm_type != RTN_UNICAST) return {};
  if (fixed->rtm_family != AF_INET && fixed->rtm_family != AF_INET6) return {};
  Route route;
  route.prefix.bits = fixed->rtm_dst_len;
  route.prefix.address.size = fixed->rtm_family == AF_INET ? 4 : 16;
  route.table = fixed->rtm_table;
  std::optional<ByteView> hops;
  bool isWhole = true;
  forEachAttribute(body, sizeof(rtmsg), [&](const AttributeView& attribute) {
    if (attribute.type == RTA_DST) {
      const std::optional<IpBytes> address = IpBytes::from(attribute.value);
      isWhole = address && address->family() == fixed->rtm_family;
      if (isWhole) route.prefix.address = *address;
    }
    if (attribute.type == RTA_TABLE) route.table = readUint32(attribute.value);
    if (attribute.type == RTA_OIF) route.linkIndex = readUint32(attribute.value);
    if (attribute.type == RTA_MULTIPATH) hops = attribute.value;
    if (isGateway(attribute)) route.gateway = parseGateway(attribute);
  });
  if (!isWhole) return {};
  return hops ? parseHops(route, *hops) : std::vector<Route>{route};
}

Result<void> addRoute(const Route& route, bool isReplacing) {
  const int how = isReplacing ? NLM_F_REPLACE : NLM_F_EXCL;
  const uint8_t scope = route.gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  return change(NetlinkMessage("RTM_NEWROUTE", RTM_NEWROUTE, static_cast<uint16_t>(NLM_F_CREATE | how)), route, scope);
}

Result<void> removeRoute(const Route& route) {
  // Scope "nowhere" matches any.
  return change(NetlinkMessage("RTM_DELROUTE", RTM_DELROUTE, 0), route, RT_SCOPE_NOWHERE);
}

Result<std::vector<Route>> listRoutes(uint8_t family, std::optional<uint32_t> table) {
  rtmsg body{};
  body.rtm_family = family;
  NetlinkMessage message("RTM_GETROUTE", RTM_GETROUTE, NLM_F_DUMP);
  message.put(body);
  if (table) message.putUint32(RTA_TABLE, *table);
  Result<std::vector<NetlinkReply>> replies = requestOnce(message);
  // A table that no route is in does not exist.
  if (table && !replies.ok() && replies.error().code == ENOENT) return std::vector<Route>();
  if (!replies.ok()) return replies.error();
  std::vector<Route> routes;
  for (const NetlinkReply& reply : replies.value()) {
    for (const Route& route : parseRoutes(reply.view())) {
      if (!table || route.table == *table) routes.push_back(route);
    }
  }
  return routes;
}

Result<std::optional<RouteAnswer>> routeTo(const IpBytes& destination, uint32_t mark) {
  rtmsg body{};
  body.rtm_family = destination.family();
  body.rtm_dst_len = static_cast<uint8_t>(8 * destination.size);
  NetlinkMessage message("RTM_GETROUTE", RTM_GETROUTE, 0);
  message.put(body);
  message.putAttribute(RTA_DST, destination.view());
  if (mark != 0) message.putUint32(RTA_MARK, mark);
  Result<std::vector<NetlinkReply>> replies = requestOnce(message);
  if (!replies.ok() && isUnreachable(replies.error().code)) return std::optional<RouteAnswer>();
  if (!replies.ok()) return replies.error();
  for (const NetlinkReply& reply : replies.value()) {
    if (reply.type == RTM_NEWROUTE) return parseAnswer(reply.view());
  }
  return std::optional<RouteAnswer>();
}

}  // namespace overlay
