// The batch path of UdpSocket: slots to and from recvmmsg and sendmmsg. No allocation; the arrays of one
// call are on the stack.

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "datagram.h"
#include "udp-socket.h"

namespace overlay {
namespace {

// Datagrams of one system call.
constexpr size_t CALL_SLOTS = 64;
// A queued error of an earlier datagram fails the call that meets it, once per error.
constexpr int MAX_RETRIES = 8;

using Parts = std::array<iovec, CALL_SLOTS>;
using Envelopes = std::array<Envelope, CALL_SLOTS>;
using Messages = std::array<mmsghdr, CALL_SLOTS>;

void storeInfo(const DatagramInfo& info, size_t slot, const DatagramHeaders& headers) {
  const Addresses& addresses = info.addresses;
  std::memcpy(headers.remote + slot * ADDRESS_BYTES, addresses.remote, ADDRESS_BYTES);
  std::memcpy(headers.local + slot * ADDRESS_BYTES, addresses.local, ADDRESS_BYTES);
  headers.remotePort[slot] = addresses.remotePort;
  headers.remoteScope[slot] = addresses.remoteScope;
  headers.tos[slot] = info.tos;
}

DatagramInfo loadInfo(size_t slot, const DatagramHeaders& headers) {
  DatagramInfo info;
  Addresses& addresses = info.addresses;
  std::memcpy(addresses.remote, headers.remote + slot * ADDRESS_BYTES, ADDRESS_BYTES);
  std::memcpy(addresses.local, headers.local + slot * ADDRESS_BYTES, ADDRESS_BYTES);
  addresses.remotePort = headers.remotePort[slot];
  addresses.remoteScope = headers.remoteScope[slot];
  info.tos = headers.tos[slot];
  return info;
}

// What to do about the first datagram of a failed call.
enum class Remedy { giveUpBatch, retry, retryWithoutSource, skip };

// `attempt` counts from 1 for each datagram.
Remedy remedyFor(int code, int attempt) {
  if (code == EAGAIN) return Remedy::giveUpBatch;
  if (attempt == 1 && mayBlameSource(code)) return Remedy::retryWithoutSource;
  if ((code == EINTR || code == ECONNREFUSED) && attempt <= MAX_RETRIES) return Remedy::retry;
  return Remedy::skip;
}

}  // namespace

size_t UdpSocket::receiveBatch(const Slab& slab, const DatagramHeaders& headers) {
  Parts parts;
  Envelopes envelopes;
  Messages messages{};
  const size_t wanted = std::min(slab.slots, CALL_SLOTS);
  for (size_t slot = 0; slot < wanted; slot++) {
    msghdr& header = messages[slot].msg_hdr;
    parts[slot] = {slab.at(slot), slab.capacity()};
    header.msg_iov = &parts[slot];
    header.msg_iovlen = 1;
    prepareReceive(header, envelopes[slot]);
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
    storeInfo(decodeInfo(messages[slot].msg_hdr), slot, headers);
  }
  return static_cast<size_t>(received);
}

size_t UdpSocket::sendBatch(const Slab& slab, const DatagramHeaders& headers, size_t count, uint8_t hops) {
  Parts parts;
  Envelopes envelopes;
  Messages messages{};
  const size_t end = std::min(count, slab.slots);
  size_t taken = 0;
  const auto infoOf = [&](size_t slot) {
    DatagramInfo info = loadInfo(slot, headers);
    info.hops = hops;
    return info;
  };
  for (size_t start = 0; start < end; start += CALL_SLOTS) {
    const size_t inCall = std::min(CALL_SLOTS, end - start);
    for (size_t i = 0; i < inCall; i++) {
      const size_t slot = start + i;
      msghdr& header = messages[i].msg_hdr;
      parts[i] = {slab.at(slot), std::min<size_t>(slab.lengths[slot], slab.capacity())};
      header.msg_iov = &parts[i];
      header.msg_iovlen = 1;
      encodeInfo(header, envelopes[i], family_, infoOf(slot), true);
    }
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
      if (remedy == Remedy::retryWithoutSource) {
        encodeInfo(messages[at].msg_hdr, envelopes[at], family_, infoOf(start + at), false);
      }
      if (remedy == Remedy::skip) {
        at++;
        attempt = 0;
      }
    }
  }
  return taken;
}

}  // namespace overlay
