// Events of links and their addresses, and of routes and rules if asked for, as the kernel tells them
// (RTMGRP_LINK and relatives).
#pragma once

#include <variant>
#include <vector>

#include "addresses.h"
#include "links.h"
#include "netlink-socket.h"

namespace overlay {

struct LinkEvent {
  LinkInfo link;
  bool isRemoved = false;
};

struct AddressEvent {
  InterfaceAddress address;
  bool isRemoved = false;
};

// Routes or rules are others. A machine that speaks a routing protocol has thousands of such events: what was read
// at once is told once.
struct RoutesEvent {};

// The kernel had to drop events: what is known may be stale.
struct EventsLost {};

using NetworkEvent = std::variant<LinkEvent, AddressEvent, RoutesEvent, EventsLost>;

class LinkMonitor {
 public:
  static Result<LinkMonitor> open(bool hasRoutes);

  int fd() const { return socket_.fd(); }
  // All events waiting, oldest first.
  Result<std::vector<NetworkEvent>> read();

 private:
  explicit LinkMonitor(NetlinkSocket socket) : socket_(std::move(socket)) {}

  NetlinkSocket socket_;
};

}  // namespace overlay
