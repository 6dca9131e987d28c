// Other network namespaces, as NETLINK_ROUTE knows them: by numbers that hold in this one. Links and addresses there
// can be asked for from here, with CAP_NET_ADMIN alone; entering it would take CAP_SYS_ADMIN.
#pragma once

#include <cstdint>

#include "netlink-message.h"
#include "result.h"

namespace overlay {

// Instead of a number: the namespace of this process.
constexpr int32_t OWN_NAMESPACE = -1;

// Its number here, of a descriptor. One that has none yet gets one.
Result<int32_t> namespaceNumber(int fd);

// Asks there. `attribute`: that of the message's family, such as IFLA_TARGET_NETNSID.
void askIn(NetlinkMessage& message, uint16_t attribute, int32_t networkNamespace);

}  // namespace overlay
