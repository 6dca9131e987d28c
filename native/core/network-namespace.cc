#include "network-namespace.h"

#include <linux/net_namespace.h>
#include <sys/socket.h>

#include "netlink-socket.h"

namespace overlay {
namespace {

NetlinkMessage requestFor(const char* label, uint16_t type, int fd) {
  NetlinkMessage message(label, type, 0);
  rtgenmsg body{};
  body.rtgen_family = AF_UNSPEC;
  message.put(body).putUint32(NETNSA_FD, static_cast<uint32_t>(fd));
  return message;
}

// OWN_NAMESPACE, which is how the kernel says it too, if there is none.
Result<int32_t> find(int fd) {
  NetlinkMessage message = requestFor("RTM_GETNSID", RTM_GETNSID, fd);
  Result<std::vector<NetlinkReply>> replies = requestOnce(message);
  if (!replies.ok()) return replies.error();
  int32_t number = OWN_NAMESPACE;
  for (const NetlinkReply& reply : replies.value()) {
    forEachAttribute(reply.view(), sizeof(rtgenmsg), [&](const AttributeView& attribute) {
      if (attribute.type == NETNSA_NSID) number = static_cast<int32_t>(readUint32(attribute.value));
    });
  }
  return number;
}

}  // namespace

Result<int32_t> namespaceNumber(int fd) {
  Result<int32_t> known = find(fd);
  if (!known.ok() || known.value() != OWN_NAMESPACE) return known;
  NetlinkMessage message = requestFor("RTM_NEWNSID", RTM_NEWNSID, fd);
  message.putUint32(NETNSA_NSID, static_cast<uint32_t>(OWN_NAMESPACE));
  // Somebody else may give it one at the same time.
  if (Result<void> given = changeOnce(message); !given.ok() && given.error().code != EEXIST) return given.error();
  known = find(fd);
  if (known.ok() && known.value() == OWN_NAMESPACE) return Error{ENOENT, "RTM_GETNSID"};
  return known;
}

void askIn(NetlinkMessage& message, uint16_t attribute, int32_t networkNamespace) {
  if (networkNamespace != OWN_NAMESPACE) message.putUint32(attribute, static_cast<uint32_t>(networkNamespace));
}

}  // namespace overlay
