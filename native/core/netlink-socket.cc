#include "netlink-socket.h"

#include <sys/socket.h>
#include <sys/time.h>

namespace overlay {
namespace {

constexpr size_t BUFFER_BYTES = 64 * 1024;  // the kernel's largest dump part is 32 KiB
constexpr time_t REPLY_SECONDS = 5;
// A dump that changed underneath is asked for again this often.
constexpr int MAX_DUMPS = 5;
// Events of one call; what is left keeps the socket readable.
constexpr size_t MAX_EVENTS = 1024;

}  // namespace

Result<NetlinkSocket> NetlinkSocket::open(uint32_t groups) {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!fd.isOpen()) return lastError("socket");
  const timeval limit{REPLY_SECONDS, 0};
  if (setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0) return lastError("setsockopt");
  // Lets the kernel filter dumps. An old one filters nothing, so callers filter once more.
  const int isStrict = 1;
  setsockopt(fd.get(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &isStrict, sizeof(isStrict));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = groups;
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) < 0) return lastError("bind");
  NetlinkSocket socket(std::move(fd));
  socket.buffer_.resize(BUFFER_BYTES);
  return socket;
}

Result<std::vector<NetlinkReply>> NetlinkSocket::request(NetlinkMessage& message) {
  for (int attempt = 1;; attempt++) {
    if (Result<void> sent = send(message); !sent.ok()) return sent.error();
    bool isInterrupted = false;
    Result<std::vector<NetlinkReply>> replies = collect(message.label(), isInterrupted);
    if (!replies.ok() || !isInterrupted || attempt == MAX_DUMPS) return replies;
  }
}

Result<std::vector<NetlinkReply>> NetlinkSocket::readEvents() {
  std::vector<NetlinkReply> events;
  while (events.size() < MAX_EVENTS) {
    Result<size_t> received = receive("recv", MSG_DONTWAIT);
    if (!received.ok()) {
      if (received.error().code == EAGAIN) return events;
      return received.error();
    }
    ByteView rest{buffer_.data(), received.value()};
    while (std::optional<NetlinkView> message = takeMessage(rest)) {
      const ByteView body = message->body;
      events.push_back({message->header.nlmsg_type, {body.data, body.data + body.size}});
    }
  }
  return events;
}

Result<void> NetlinkSocket::send(NetlinkMessage& message) {
  const ByteView bytes = message.encode(++sequence_);
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  const ssize_t sent =
      ::sendto(fd_.get(), bytes.data, bytes.size, 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof(kernel));
  if (sent < 0) return lastError(message.label());
  return {};
}

Result<std::vector<NetlinkReply>> NetlinkSocket::collect(const char* label, bool& isInterrupted) {
  std::vector<NetlinkReply> replies;
  while (true) {
    Result<size_t> received = receive(label, 0);
    if (!received.ok()) {
      if (received.error().code == EAGAIN) return Error{ETIMEDOUT, label};
      return received.error();
    }
    ByteView rest{buffer_.data(), received.value()};
    while (std::optional<NetlinkView> message = takeMessage(rest)) {
      if (message->header.nlmsg_seq != sequence_) continue;
      if ((message->header.nlmsg_flags & NLM_F_DUMP_INTR) != 0) isInterrupted = true;
      const uint16_t type = message->header.nlmsg_type;
      if (type != NLMSG_ERROR && type != NLMSG_DONE) {
        const ByteView body = message->body;
        replies.push_back({type, {body.data, body.data + body.size}});
        continue;
      }
      // Both begin with a negative errno, or 0 for success.
      const int code = -readStruct<int>(message->body).value_or(type == NLMSG_DONE ? 0 : -EPROTO);
      if (code != 0) return Error{code, label};
      return replies;
    }
  }
}

Result<size_t> NetlinkSocket::receive(const char* label, int flags) {
  while (true) {
    sockaddr_nl from{};
    socklen_t size = sizeof(from);
    const ssize_t received = ::recvfrom(fd_.get(), buffer_.data(), buffer_.size(), flags | MSG_TRUNC,
                                        reinterpret_cast<sockaddr*>(&from), &size);
    if (received < 0 && errno == EINTR) continue;
    if (received < 0) return lastError(label);
    // Any process may send here; only the kernel has port 0.
    if (from.nl_pid != 0) continue;
    const auto length = static_cast<size_t>(received);
    if (length > buffer_.size()) return Error{EMSGSIZE, label};
    return length;
  }
}

Result<std::vector<NetlinkReply>> requestOnce(NetlinkMessage& message) {
  Result<NetlinkSocket> socket = NetlinkSocket::open();
  if (!socket.ok()) return socket.error();
  return socket.value().request(message);
}

Result<void> changeOnce(NetlinkMessage& message) {
  Result<std::vector<NetlinkReply>> replies = requestOnce(message);
  if (!replies.ok()) return replies.error();
  return {};
}

}  // namespace overlay
