// The batch path of UdpSocket: slots to and from recvmmsg and sendmmsg, with the control messages that
// carry local address and TOS. No allocation; the arrays of one call are on the stack.

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "udp-socket.h"

namespace overlay {
namespace {

// Datagrams of one system call.
constexpr size_t CALL_SLOTS = 64;
// Local address and TOS of either family, with room for alignment.
constexpr size_t CONTROL_BYTES = CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(int));
// A queued error of an earlier datagram fails the call that meets it, once per error.
constexpr int MAX_RETRIES = 8;

struct Envelope {
  iovec part{};
  sockaddr_in6 address{};
  alignas(cmsghdr) std::array<uint8_t, CONTROL_BYTES> control{};
};

using Envelopes = std::array<Envelope, CALL_SLOTS>;
using Messages = std::array<mmsghdr, CALL_SLOTS>;

// --- receive ---------------------------------------------------------------------------------

void decodeControl(const cmsghdr& item, size_t slot, const DatagramHeaders& headers) {
  const uint8_t* const data = CMSG_DATA(&item);
  const size_t size = item.cmsg_len - CMSG_LEN(0);
  uint8_t* const local = headers.local + slot * ADDRESS_BYTES;
  if (item.cmsg_level == IPPROTO_IP && item.cmsg_type == IP_PKTINFO && size >= sizeof(in_pktinfo)) {
    // Not the header's destination, which may be a broadcast address, but where to answer from.
    std::memcpy(local, data + offsetof(in_pktinfo, ipi_spec_dst), 4);
  } else if (item.cmsg_level == IPPROTO_IPV6 && item.cmsg_type == IPV6_PKTINFO && size >= sizeof(in6_pktinfo)) {
    std::memcpy(local, data + offsetof(in6_pktinfo, ipi6_addr), 16);
  } else if (item.cmsg_level == IPPROTO_IP && item.cmsg_type == IP_TOS && size >= 1) {
    headers.tos[slot] = data[0];
  } else if (item.cmsg_level == IPPROTO_IPV6 && item.cmsg_type == IPV6_TCLASS && size >= sizeof(int)) {
    int trafficClass = 0;
    std::memcpy(&trafficClass, data, sizeof(trafficClass));
    headers.tos[slot] = static_cast<uint8_t>(trafficClass);
  }
}

void decodeHeaders(mmsghdr& message, size_t slot, const DatagramHeaders& headers) {
  uint8_t* const remote = headers.remote + slot * ADDRESS_BYTES;
  std::memset(remote, 0, ADDRESS_BYTES);
  std::memset(headers.local + slot * ADDRESS_BYTES, 0, ADDRESS_BYTES);
  headers.tos[slot] = 0;
  headers.remoteScope[slot] = 0;

  sockaddr_in6 from{};
  std::memcpy(&from, message.msg_hdr.msg_name, sizeof(from));
  headers.remotePort[slot] = ntohs(from.sin6_port);  // same place in both families
  if (from.sin6_family == AF_INET6) {
    std::memcpy(remote, &from.sin6_addr, 16);
    headers.remoteScope[slot] = from.sin6_scope_id;
  } else {
    std::memcpy(remote, reinterpret_cast<const uint8_t*>(&from) + offsetof(sockaddr_in, sin_addr), 4);
  }
  msghdr& header = message.msg_hdr;
  for (cmsghdr* item = CMSG_FIRSTHDR(&header); item != nullptr; item = CMSG_NXTHDR(&header, item)) {
    decodeControl(*item, slot, headers);
  }
}

// --- send ------------------------------------------------------------------------------------

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

// What one call of sendBatch sends: encodes slots into messages.
struct Outgoing {
  const Slab& slab;
  const DatagramHeaders& headers;
  int family;

  // `hasSource`: whether to ask for the slot's local address.
  void encode(mmsghdr& message, Envelope& envelope, size_t slot, bool hasSource) const {
    msghdr& header = message.msg_hdr;
    envelope.part = {slab.at(slot), std::min<size_t>(slab.lengths[slot], slab.capacity())};
    header.msg_iov = &envelope.part;
    header.msg_iovlen = 1;
    header.msg_name = &envelope.address;
    header.msg_namelen = encodeRemote(envelope.address, slot);
    header.msg_control = envelope.control.data();
    header.msg_controllen = putTos(envelope.control.data(), slot);
    if (hasSource) header.msg_controllen += putSource(envelope.control.data() + header.msg_controllen, slot);
  }

  socklen_t encodeRemote(sockaddr_in6& address, size_t slot) const {
    const uint8_t* const remote = headers.remote + slot * ADDRESS_BYTES;
    if (family == 4) {
      sockaddr_in v4{};
      v4.sin_family = AF_INET;
      v4.sin_port = htons(headers.remotePort[slot]);
      std::memcpy(&v4.sin_addr, remote, 4);
      std::memcpy(&address, &v4, sizeof(v4));
      return sizeof(v4);
    }
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(headers.remotePort[slot]);
    address.sin6_scope_id = headers.remoteScope[slot];
    std::memcpy(&address.sin6_addr, remote, 16);
    return sizeof(address);
  }

  size_t putTos(uint8_t* at, size_t slot) const {
    const int tos = headers.tos[slot];
    return family == 4 ? putControl(at, IPPROTO_IP, IP_TOS, viewOf(tos))
                       : putControl(at, IPPROTO_IPV6, IPV6_TCLASS, viewOf(tos));
  }

  size_t putSource(uint8_t* at, size_t slot) const {
    const uint8_t* const local = headers.local + slot * ADDRESS_BYTES;
    if (std::all_of(local, local + ADDRESS_BYTES, [](uint8_t byte) { return byte == 0; })) return 0;
    if (family == 4) {
      in_pktinfo source{};
      std::memcpy(&source.ipi_spec_dst, local, 4);
      return putControl(at, IPPROTO_IP, IP_PKTINFO, viewOf(source));
    }
    in6_pktinfo source{};
    std::memcpy(&source.ipi6_addr, local, 16);
    // A link-local source means nothing without its link.
    if (IN6_IS_ADDR_LINKLOCAL(&source.ipi6_addr)) source.ipi6_ifindex = headers.remoteScope[slot];
    return putControl(at, IPPROTO_IPV6, IPV6_PKTINFO, viewOf(source));
  }
};

// What to do about the first datagram of a failed call.
enum class Remedy { giveUpBatch, retry, retryWithoutSource, skip };

// The remembered source address may have left the machine: the link must not die with it. Kernels
// disagree about the error, and some say the same when there is no route: then the retry fails too.
bool mayBlameSource(int code) {
  return code == EINVAL || code == EADDRNOTAVAIL || code == ENETUNREACH || code == EHOSTUNREACH || code == ENODEV;
}

// `attempt` counts from 1 for each datagram.
Remedy remedyFor(int code, int attempt) {
  if (code == EAGAIN) return Remedy::giveUpBatch;
  if (attempt == 1 && mayBlameSource(code)) return Remedy::retryWithoutSource;
  if ((code == EINTR || code == ECONNREFUSED) && attempt <= MAX_RETRIES) return Remedy::retry;
  return Remedy::skip;
}

}  // namespace

size_t UdpSocket::receiveBatch(const Slab& slab, const DatagramHeaders& headers) {
  Envelopes envelopes;
  Messages messages{};
  const size_t wanted = std::min(slab.slots, CALL_SLOTS);
  for (size_t slot = 0; slot < wanted; slot++) {
    Envelope& envelope = envelopes[slot];
    msghdr& header = messages[slot].msg_hdr;
    envelope.part = {slab.at(slot), slab.capacity()};
    header.msg_name = &envelope.address;
    header.msg_namelen = sizeof(envelope.address);
    header.msg_iov = &envelope.part;
    header.msg_iovlen = 1;
    header.msg_control = envelope.control.data();
    header.msg_controllen = envelope.control.size();
  }
  int received = -1;
  for (int attempt = 0; attempt < MAX_RETRIES && received < 0; attempt++) {
    received = ::recvmmsg(fd_.get(), messages.data(), static_cast<unsigned>(wanted), MSG_DONTWAIT, nullptr);
    if (received < 0 && errno == EAGAIN) return 0;
  }
  if (received < 0) return 0;
  for (size_t slot = 0; slot < static_cast<size_t>(received); slot++) {
    const bool isWhole = (messages[slot].msg_hdr.msg_flags & MSG_TRUNC) == 0;
    slab.lengths[slot] = isWhole ? messages[slot].msg_len : 0;
    decodeHeaders(messages[slot], slot, headers);
  }
  return static_cast<size_t>(received);
}

size_t UdpSocket::sendBatch(const Slab& slab, const DatagramHeaders& headers, size_t count) {
  const Outgoing outgoing{slab, headers, family_};
  Envelopes envelopes;
  Messages messages{};
  const size_t end = std::min(count, slab.slots);
  size_t taken = 0;
  for (size_t start = 0; start < end; start += CALL_SLOTS) {
    const size_t inCall = std::min(CALL_SLOTS, end - start);
    for (size_t i = 0; i < inCall; i++) outgoing.encode(messages[i], envelopes[i], start + i, true);
    int attempt = 0;
    for (size_t at = 0; at < inCall;) {
      const int sent = ::sendmmsg(fd_.get(), &messages[at], static_cast<unsigned>(inCall - at), MSG_DONTWAIT);
      if (sent > 0) {
        at += static_cast<size_t>(sent);
        taken += static_cast<size_t>(sent);
        attempt = 0;
        continue;
      }
      const Remedy remedy = remedyFor(errno, ++attempt);
      if (remedy == Remedy::giveUpBatch) return taken;
      if (remedy == Remedy::retryWithoutSource) outgoing.encode(messages[at], envelopes[at], start + at, false);
      if (remedy == Remedy::skip) {
        at++;
        attempt = 0;
      }
    }
  }
  return taken;
}

}  // namespace overlay
