#include "outer-socket.h"

#include <netinet/udp.h>
#include <poll.h>

#include <algorithm>

namespace overlay {
namespace {

// A queued error of an earlier datagram fails the call that meets it, once per error.
constexpr int MAX_RETRIES = 8;
// A full socket is waited for this long before what does not fit is dropped.
constexpr int ROOM_WAIT_MS = 20;
// After the kernel refused a train on a path.
constexpr double SINGLE_MS = 10'000;

bool hasOption(int fd, int name, int value) { return ::setsockopt(fd, SOL_UDP, name, &value, sizeof(value)) == 0; }

// Whether the kernel refused a train for being one.
bool mayBlameTrain(int code) { return code == EINVAL || code == EMSGSIZE || code == EIO || code == EOPNOTSUPP; }

}  // namespace

Result<std::unique_ptr<OuterSocket>> OuterSocket::open(uint32_t id, const UdpOptions& options,
                                                       const Offloads& offloads) {
  Result<UdpSocket> socket = UdpSocket::open(options);
  if (!socket.ok()) return socket.error();
  const int fd = socket.value().fd();
  // Setting what is set already tells whether the kernel knows it.
  const bool sendsTrains = offloads.outerSend && hasOption(fd, UDP_SEGMENT, 0);
  const bool receivesTrains = offloads.outerReceive && hasOption(fd, UDP_GRO, 1);
  return std::unique_ptr<OuterSocket>(
      new OuterSocket(id, std::move(socket.value()), options.family, sendsTrains, receivesTrains));
}

size_t OuterSocket::receive(ReceiveBuffers& buffers) {
  for (int attempt = 0; attempt < MAX_RETRIES; attempt++) {
    const int count = buffers.receiveFrom(fd());
    if (count >= 0) return static_cast<size_t>(count);
    if (errno == EAGAIN) return 0;
  }
  return 0;
}

void OuterSocket::send(Train* trains, size_t count, double nowMs) {
  std::array<Envelope, MAX_TRAINS> envelopes;
  std::array<mmsghdr, MAX_TRAINS> messages;
  const size_t end = std::min(count, MAX_TRAINS);
  for (size_t i = 0; i < end; i++) {
    Train& train = trains[i];
    messages[i] = {};
    msghdr& header = messages[i].msg_hdr;
    header.msg_iov = const_cast<iovec*>(train.parts);
    header.msg_iovlen = train.partCount;
    const auto segment = static_cast<uint16_t>(train.count > 1 ? train.segmentBytes : 0);
    encodeInfo(header, envelopes[i], family(), {train.path->addresses, train.tos, segment}, true);
  }
  for (size_t at = 0; at < end;) {
    const int sent = ::sendmmsg(fd(), &messages[at], static_cast<unsigned>(end - at), MSG_DONTWAIT);
    for (int i = 0; i < sent; i++, at++) trains[at].taken = trains[at].count;
    if (sent > 0) continue;
    // Alone, with all remedies.
    if (!sendTrain(trains[at], nowMs)) return;
    at++;
  }
}

// False if the socket stays full: what follows would not fit either.
bool OuterSocket::sendTrain(Train& train, double nowMs) {
  const auto segment = static_cast<uint16_t>(train.count > 1 ? train.segmentBytes : 0);
  if (sendMessage(train.parts, train.partCount, {train.path->addresses, train.tos, segment})) {
    train.taken = train.count;
    return true;
  }
  if (errno == EAGAIN) return false;
  if (train.count == 1 || !mayBlameTrain(errno)) return true;
  // Without checksum offload on the way out it is refused for good; else it is this path's MTU.
  if (errno == EIO || errno == EOPNOTSUPP)
    sendsTrains_.store(false, std::memory_order_relaxed);
  else
    train.path->singleUntilMs.store(nowMs + SINGLE_MS, std::memory_order_relaxed);
  sendSingly(train);
  return true;
}

void OuterSocket::sendSingly(Train& train) {
  const DatagramInfo info{train.path->addresses, train.tos, 0};
  // Parts of a train are whole datagrams, one or several to a part.
  for (size_t i = 0; i < train.partCount; i++) {
    auto* const bytes = static_cast<uint8_t*>(train.parts[i].iov_base);
    for (size_t at = 0; at < train.parts[i].iov_len; at += train.segmentBytes) {
      const iovec part{bytes + at, std::min(train.segmentBytes, train.parts[i].iov_len - at)};
      if (sendMessage(&part, 1, info)) train.taken++;
    }
  }
}

// One message, with patience and without its source address if need be. False with errno set.
bool OuterSocket::sendMessage(const iovec* parts, size_t partCount, const DatagramInfo& info) {
  Envelope envelope;
  msghdr header{};
  header.msg_iov = const_cast<iovec*>(parts);
  header.msg_iovlen = partCount;
  bool hasSource = true;
  for (int attempt = 0; attempt < MAX_RETRIES; attempt++) {
    encodeInfo(header, envelope, family(), info, hasSource);
    if (::sendmsg(fd(), &header, MSG_DONTWAIT) >= 0) return true;
    const int code = errno;
    if (code == EAGAIN) {
      if (!waitForRoom()) break;
    } else if (hasSource && mayBlameSource(code)) {
      hasSource = false;
    } else if (code != EINTR && code != ECONNREFUSED) {
      errno = code;
      return false;
    }
  }
  errno = EAGAIN;
  return false;
}

bool OuterSocket::waitForRoom() {
  pollfd entry{fd(), POLLOUT, 0};
  return ::poll(&entry, 1, ROOM_WAIT_MS) > 0;
}

bool OuterSocket::sendOne(const DatagramInfo& info, ByteView bytes) {
  // Not patient: the caller is the event loop.
  const iovec part{const_cast<uint8_t*>(bytes.data), bytes.size};
  Envelope envelope;
  msghdr header{};
  header.msg_iov = const_cast<iovec*>(&part);
  header.msg_iovlen = 1;
  bool hasSource = true;
  for (int attempt = 0; attempt < MAX_RETRIES; attempt++) {
    encodeInfo(header, envelope, family(), info, hasSource);
    if (::sendmsg(fd(), &header, MSG_DONTWAIT) >= 0) return true;
    if (hasSource && mayBlameSource(errno))
      hasSource = false;
    else if (errno != EINTR && errno != ECONNREFUSED)
      return false;
  }
  return false;
}

}  // namespace overlay
