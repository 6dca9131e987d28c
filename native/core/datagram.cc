#include "datagram.h"

#include <netinet/udp.h>

#include <cerrno>

#include "byte-view.h"

namespace overlay {
namespace {

void decodeControl(const cmsghdr& item, DatagramInfo& info) {
  const uint8_t* const data = CMSG_DATA(&item);
  const size_t size = item.cmsg_len - CMSG_LEN(0);
  if (item.cmsg_level == IPPROTO_IP && item.cmsg_type == IP_PKTINFO && size >= sizeof(in_pktinfo)) {
    // Not the header's destination, which may be a broadcast address, but where to answer from.
    std::memcpy(info.addresses.local, data + offsetof(in_pktinfo, ipi_spec_dst), 4);
  } else if (item.cmsg_level == IPPROTO_IPV6 && item.cmsg_type == IPV6_PKTINFO && size >= sizeof(in6_pktinfo)) {
    std::memcpy(info.addresses.local, data + offsetof(in6_pktinfo, ipi6_addr), 16);
  } else if (item.cmsg_level == IPPROTO_IP && item.cmsg_type == IP_TOS && size >= 1) {
    info.tos = data[0];
  } else if (size >= sizeof(int)) {
    int value = 0;
    std::memcpy(&value, data, sizeof(value));
    if (item.cmsg_level == IPPROTO_IPV6 && item.cmsg_type == IPV6_TCLASS) info.tos = static_cast<uint8_t>(value);
    if (item.cmsg_level == SOL_UDP && item.cmsg_type == UDP_GRO) info.segmentBytes = static_cast<uint16_t>(value);
  }
}

// Appends one control message; gives the bytes it took.
size_t putControl(uint8_t* at, int level, int type, ByteView data) {
  cmsghdr header{};
  header.cmsg_level = level;
  header.cmsg_type = type;
  header.cmsg_len = CMSG_LEN(data.size);
  std::memcpy(at, &header, sizeof(header));
  std::memcpy(at + CMSG_LEN(0), data.data, data.size);
  return CMSG_SPACE(data.size);
}

template <typename T>
ByteView viewOf(const T& value) {
  return {reinterpret_cast<const uint8_t*>(&value), sizeof(value)};
}

socklen_t encodeRemote(sockaddr_in6& address, int family, const Addresses& addresses) {
  if (family == 4) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(addresses.remotePort);
    std::memcpy(&v4.sin_addr, addresses.remote, 4);
    std::memcpy(&address, &v4, sizeof(v4));
    return sizeof(v4);
  }
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(addresses.remotePort);
  address.sin6_flowinfo = 0;
  address.sin6_scope_id = addresses.remoteScope;
  std::memcpy(&address.sin6_addr, addresses.remote, 16);
  return sizeof(address);
}

size_t putSource(uint8_t* at, int family, const Addresses& addresses) {
  if (family == 4) {
    in_pktinfo source{};
    std::memcpy(&source.ipi_spec_dst, addresses.local, 4);
    return putControl(at, IPPROTO_IP, IP_PKTINFO, viewOf(source));
  }
  in6_pktinfo source{};
  std::memcpy(&source.ipi6_addr, addresses.local, 16);
  // A link-local source means nothing without its link.
  if (IN6_IS_ADDR_LINKLOCAL(&source.ipi6_addr)) source.ipi6_ifindex = addresses.remoteScope;
  return putControl(at, IPPROTO_IPV6, IPV6_PKTINFO, viewOf(source));
}

}  // namespace

void prepareReceive(msghdr& header, Envelope& envelope) {
  header.msg_name = &envelope.address;
  header.msg_namelen = sizeof(envelope.address);
  header.msg_control = envelope.control.data();
  header.msg_controllen = envelope.control.size();
}

DatagramInfo decodeInfo(const msghdr& header) {
  DatagramInfo info;
  sockaddr_in6 from{};
  std::memcpy(&from, header.msg_name, sizeof(from));
  info.addresses.remotePort = ntohs(from.sin6_port);  // same place in both families
  if (from.sin6_family == AF_INET6) {
    std::memcpy(info.addresses.remote, &from.sin6_addr, 16);
    info.addresses.remoteScope = from.sin6_scope_id;
  } else {
    std::memcpy(info.addresses.remote, reinterpret_cast<const uint8_t*>(&from) + offsetof(sockaddr_in, sin_addr), 4);
  }
  auto& items = const_cast<msghdr&>(header);  // the macros take no const, and change nothing
  for (cmsghdr* item = CMSG_FIRSTHDR(&items); item != nullptr; item = CMSG_NXTHDR(&items, item)) {
    decodeControl(*item, info);
  }
  return info;
}

void encodeInfo(msghdr& header, Envelope& envelope, int family, const DatagramInfo& info, bool hasSource) {
  header.msg_name = &envelope.address;
  header.msg_namelen = encodeRemote(envelope.address, family, info.addresses);
  uint8_t* const control = envelope.control.data();
  header.msg_control = control;
  const int tos = info.tos;
  header.msg_controllen = family == 4 ? putControl(control, IPPROTO_IP, IP_TOS, viewOf(tos))
                                      : putControl(control, IPPROTO_IPV6, IPV6_TCLASS, viewOf(tos));
  if (info.segmentBytes != 0) {
    header.msg_controllen +=
        putControl(control + header.msg_controllen, SOL_UDP, UDP_SEGMENT, viewOf(info.segmentBytes));
  }
  if (info.hops != 0) {
    const int hops = info.hops;
    uint8_t* const at = control + header.msg_controllen;
    header.msg_controllen += family == 4 ? putControl(at, IPPROTO_IP, IP_TTL, viewOf(hops))
                                         : putControl(at, IPPROTO_IPV6, IPV6_HOPLIMIT, viewOf(hops));
  }
  if (hasSource && info.addresses.hasLocal()) {
    header.msg_controllen += putSource(control + header.msg_controllen, family, info.addresses);
  }
}

bool mayBlameSource(int code) {
  return code == EINVAL || code == EADDRNOTAVAIL || code == ENETUNREACH || code == EHOSTUNREACH || code == ENODEV;
}

}  // namespace overlay
