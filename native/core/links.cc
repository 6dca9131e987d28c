#include "links.h"

#include <net/if.h>
#include <net/if_arp.h>

#include "netlink-socket.h"

namespace overlay {
namespace {

ifinfomsg linkBody(uint32_t index) {
  ifinfomsg body{};
  body.ifi_family = AF_UNSPEC;
  body.ifi_index = static_cast<int>(index);
  return body;
}

// The kind alone would take a TAP, which is a cable, for a tunnel; the type alone some modems.
bool isTunnelKind(const std::string& kind, uint16_t type) {
  return type == ARPHRD_NONE && (kind == "tun" || kind == "wireguard" || kind == "amneziawg");
}

std::string readKind(ByteView linkInfo) {
  std::string kind;
  forEachAttribute(linkInfo, 0, [&](const AttributeView& attribute) {
    if (attribute.type == IFLA_INFO_KIND) kind = readText(attribute.value);
  });
  return kind;
}

Result<std::optional<LinkInfo>> find(NetlinkMessage& message) {
  Result<std::vector<NetlinkReply>> replies = requestOnce(message);
  if (!replies.ok() && replies.error().code == ENODEV) return std::optional<LinkInfo>();
  if (!replies.ok()) return replies.error();
  for (const NetlinkReply& reply : replies.value()) {
    if (std::optional<LinkInfo> link = parseLink(reply.view())) return link;
  }
  return std::optional<LinkInfo>();
}

}  // namespace

std::optional<LinkInfo> parseLink(ByteView body) {
  const std::optional<ifinfomsg> fixed = readStruct<ifinfomsg>(body);
  // Other families tell of a link's part in a bridge or a protocol, not of the link.
  if (!fixed || fixed->ifi_family != AF_UNSPEC) return std::nullopt;
  LinkInfo link;
  link.index = static_cast<uint32_t>(fixed->ifi_index);
  link.isUp = (fixed->ifi_flags & IFF_UP) != 0;
  forEachAttribute(body, sizeof(ifinfomsg), [&](const AttributeView& attribute) {
    if (attribute.type == IFLA_IFNAME) link.name = readText(attribute.value);
    if (attribute.type == IFLA_MTU) link.mtu = readUint32(attribute.value);
    if (attribute.type == IFLA_IFALIAS) link.alias = readText(attribute.value);
    if (attribute.type == IFLA_LINKINFO) link.isTunnel = isTunnelKind(readKind(attribute.value), fixed->ifi_type);
  });
  return link;
}

Result<std::optional<LinkInfo>> findLink(const std::string& name, int32_t networkNamespace) {
  // The kernel refuses longer names as a bad request, though the answer is just "none".
  if (name.empty() || name.size() >= IF_NAMESIZE) return std::optional<LinkInfo>();
  NetlinkMessage message("RTM_GETLINK", RTM_GETLINK, 0);
  message.put(linkBody(0)).putText(IFLA_IFNAME, name);
  askIn(message, IFLA_TARGET_NETNSID, networkNamespace);
  return find(message);
}

Result<std::optional<LinkInfo>> findLink(uint32_t index) {
  NetlinkMessage message("RTM_GETLINK", RTM_GETLINK, 0);
  message.put(linkBody(index));
  return find(message);
}

Result<std::vector<LinkInfo>> listLinks() {
  NetlinkMessage message("RTM_GETLINK", RTM_GETLINK, NLM_F_DUMP);
  message.put(linkBody(0));
  Result<std::vector<NetlinkReply>> replies = requestOnce(message);
  if (!replies.ok()) return replies.error();
  std::vector<LinkInfo> links;
  for (const NetlinkReply& reply : replies.value()) {
    if (std::optional<LinkInfo> link = parseLink(reply.view())) links.push_back(std::move(*link));
  }
  return links;
}

Result<void> setLinkAlias(uint32_t index, const std::string& alias) {
  NetlinkMessage message("RTM_NEWLINK", RTM_NEWLINK, 0);
  message.put(linkBody(index)).putText(IFLA_IFALIAS, alias);
  return changeOnce(message);
}

Result<void> setLinkUp(uint32_t index, bool isUp) {
  ifinfomsg body = linkBody(index);
  body.ifi_change = IFF_UP;
  if (isUp) body.ifi_flags = IFF_UP;
  NetlinkMessage message("RTM_NEWLINK", RTM_NEWLINK, 0);
  message.put(body);
  return changeOnce(message);
}

Result<void> setLinkMtu(uint32_t index, uint32_t mtu) {
  NetlinkMessage message("RTM_NEWLINK", RTM_NEWLINK, 0);
  message.put(linkBody(index)).putUint32(IFLA_MTU, mtu);
  return changeOnce(message);
}

Result<void> deleteLink(uint32_t index) {
  NetlinkMessage message("RTM_DELLINK", RTM_DELLINK, 0);
  message.put(linkBody(index));
  return changeOnce(message);
}

}  // namespace overlay
