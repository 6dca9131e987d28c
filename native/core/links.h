// Network interfaces over NETLINK_ROUTE.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "byte-view.h"
#include "network-namespace.h"
#include "result.h"

namespace overlay {

struct LinkInfo {
  uint32_t index = 0;
  std::string name;
  uint32_t mtu = 0;
  bool isUp = false;
  // Carries IP packets inside datagrams: a TUN or a WireGuard, of whatever program.
  bool isTunnel = false;
  // Free text that any process can read and the administrator set.
  std::string alias;
};

// Body of RTM_NEWLINK or RTM_DELLINK.
std::optional<LinkInfo> parseLink(ByteView body);

// Nothing if there is no such link.
Result<std::optional<LinkInfo>> findLink(const std::string& name, int32_t networkNamespace = OWN_NAMESPACE);
Result<std::optional<LinkInfo>> findLink(uint32_t index);
Result<std::vector<LinkInfo>> listLinks();
Result<void> setLinkAlias(uint32_t index, const std::string& alias);
Result<void> setLinkUp(uint32_t index, bool isUp);
Result<void> setLinkMtu(uint32_t index, uint32_t mtu);
Result<void> deleteLink(uint32_t index);

}  // namespace overlay
