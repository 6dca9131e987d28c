#include "link-monitor.h"

#include <algorithm>

namespace overlay {
namespace {

std::optional<NetworkEvent> parseEvent(const NetlinkReply& reply) {
  if (reply.type == RTM_NEWLINK || reply.type == RTM_DELLINK) {
    const std::optional<LinkInfo> link = parseLink(reply.view());
    if (!link) return std::nullopt;
    return LinkEvent{*link, reply.type == RTM_DELLINK};
  }
  if (reply.type == RTM_NEWADDR || reply.type == RTM_DELADDR) {
    const std::optional<InterfaceAddress> address = parseAddress(reply.view());
    if (!address) return std::nullopt;
    return AddressEvent{*address, reply.type == RTM_DELADDR};
  }
  return std::nullopt;
}

bool isOfRoutes(const NetlinkReply& reply) {
  return reply.type == RTM_NEWROUTE || reply.type == RTM_DELROUTE || reply.type == RTM_NEWRULE ||
         reply.type == RTM_DELRULE;
}

constexpr uint32_t LINK_GROUPS = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
// Rules of IPv6 came too late for a name of their own among the RTMGRP_….
constexpr uint32_t ROUTE_GROUPS =
    RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE | RTMGRP_IPV4_RULE | 1U << (RTNLGRP_IPV6_RULE - 1);

}  // namespace

Result<LinkMonitor> LinkMonitor::open(bool hasRoutes) {
  Result<NetlinkSocket> socket = NetlinkSocket::open(LINK_GROUPS | (hasRoutes ? ROUTE_GROUPS : 0));
  if (!socket.ok()) return socket.error();
  return LinkMonitor(std::move(socket.value()));
}

Result<std::vector<NetworkEvent>> LinkMonitor::read() {
  Result<std::vector<NetlinkReply>> replies = socket_.readEvents();
  // Lost for want of room: the kernel's, or ours for one large event.
  const bool areLost = !replies.ok() && (replies.error().code == ENOBUFS || replies.error().code == EMSGSIZE);
  if (areLost) return std::vector<NetworkEvent>{EventsLost{}};
  if (!replies.ok()) return replies.error();
  std::vector<NetworkEvent> events;
  for (const NetlinkReply& reply : replies.value()) {
    if (std::optional<NetworkEvent> event = parseEvent(reply)) events.push_back(std::move(*event));
  }
  if (std::any_of(replies.value().begin(), replies.value().end(), isOfRoutes)) {
    events.emplace_back(std::in_place_type<RoutesEvent>);
  }
  return events;
}

}  // namespace overlay
