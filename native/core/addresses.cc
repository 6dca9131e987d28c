#include "addresses.h"

#include "netlink-socket.h"

namespace overlay {
namespace {

Result<void> change(NetlinkMessage message, const InterfaceAddress& address) {
  ifaddrmsg body{};
  body.ifa_family = address.prefix.address.family();
  body.ifa_prefixlen = address.prefix.bits;
  body.ifa_index = address.linkIndex;
  message.put(body);
  message.putAttribute(IFA_LOCAL, address.prefix.address.view());
  message.putAttribute(IFA_ADDRESS, address.prefix.address.view());
  return changeOnce(message);
}

}  // namespace

std::optional<InterfaceAddress> parseAddress(ByteView body) {
  const std::optional<ifaddrmsg> fixed = readStruct<ifaddrmsg>(body);
  if (!fixed) return std::nullopt;
  std::optional<IpBytes> local;
  std::optional<IpBytes> address;
  forEachAttribute(body, sizeof(ifaddrmsg), [&](const AttributeView& attribute) {
    if (attribute.type == IFA_LOCAL) local = IpBytes::from(attribute.value);
    if (attribute.type == IFA_ADDRESS) address = IpBytes::from(attribute.value);
  });
  // On a point-to-point link IFA_ADDRESS is the other end.
  if (!local) local = address;
  if (!local || local->family() != fixed->ifa_family) return std::nullopt;
  return InterfaceAddress{fixed->ifa_index, {*local, fixed->ifa_prefixlen}};
}

Result<void> addAddress(const InterfaceAddress& address) {
  return change(NetlinkMessage("RTM_NEWADDR", RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL), address);
}

Result<void> removeAddress(const InterfaceAddress& address) {
  return change(NetlinkMessage("RTM_DELADDR", RTM_DELADDR, 0), address);
}

Result<std::vector<InterfaceAddress>> listAddresses(uint32_t linkIndex, int32_t networkNamespace) {
  NetlinkMessage message("RTM_GETADDR", RTM_GETADDR, NLM_F_DUMP);
  ifaddrmsg body{};
  body.ifa_index = linkIndex;
  message.put(body);
  askIn(message, IFA_TARGET_NETNSID, networkNamespace);
  Result<std::vector<NetlinkReply>> replies = requestOnce(message);
  if (!replies.ok() && replies.error().code == ENODEV) return std::vector<InterfaceAddress>();
  if (!replies.ok()) return replies.error();
  std::vector<InterfaceAddress> addresses;
  for (const NetlinkReply& reply : replies.value()) {
    const std::optional<InterfaceAddress> address = parseAddress(reply.view());
    if (address && address->linkIndex == linkIndex) addresses.push_back(*address);
  }
  return addresses;
}

}  // namespace overlay
