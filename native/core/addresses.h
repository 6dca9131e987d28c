// Addresses of interfaces over NETLINK_ROUTE.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ip.h"
#include "network-namespace.h"
#include "result.h"

namespace overlay {

struct InterfaceAddress {
  uint32_t linkIndex = 0;
  IpPrefix prefix;
};

// Body of RTM_NEWADDR or RTM_DELADDR.
std::optional<InterfaceAddress> parseAddress(ByteView body);

Result<void> addAddress(const InterfaceAddress& address);
Result<void> removeAddress(const InterfaceAddress& address);
Result<std::vector<InterfaceAddress>> listAddresses(uint32_t linkIndex, int32_t networkNamespace = OWN_NAMESPACE);

}  // namespace overlay
