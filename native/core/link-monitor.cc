#include "link-monitor.h"

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

}  // namespace

Result<LinkMonitor> LinkMonitor::open() {
  Result<NetlinkSocket> socket = NetlinkSocket::open(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR);
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
  return events;
}

}  // namespace overlay
