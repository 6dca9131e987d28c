// Routes over NETLINK_ROUTE: those of the tables, and what the kernel would do with one destination.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ip.h"
#include "result.h"

namespace overlay {

struct Route {
  // Host bits are zero.
  IpPrefix prefix;
  uint32_t linkIndex = 0;
  uint32_t table = 0;
  std::optional<IpBytes> gateway;
};

struct RouteAnswer {
  uint32_t linkIndex = 0;
  // Of the route (metric or learnt path MTU); 0 if it has none of its own.
  uint32_t mtu = 0;
  std::optional<IpBytes> source;
  std::optional<IpBytes> gateway;
};

// Body of RTM_NEWROUTE; several next hops give several routes. Only unicast routes of tables.
std::vector<Route> parseRoutes(ByteView body);

Result<void> addRoute(const Route& route, bool isReplacing);
Result<void> removeRoute(const Route& route);
// `family`: AF_INET or AF_INET6. `table`: all if absent.
Result<std::vector<Route>> listRoutes(uint8_t family, std::optional<uint32_t> table);
// Nothing if the destination cannot be reached. `mark`: 0 for none.
Result<std::optional<RouteAnswer>> routeTo(const IpBytes& destination, uint32_t mark);

}  // namespace overlay
