#include "unix-socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "boot-clock.h"

namespace overlay {
namespace {

// Message boundaries keep one descriptor with its one byte.
constexpr int FD_SOCKET = SOCK_SEQPACKET | SOCK_CLOEXEC;
constexpr int BACKLOG = 16;

struct UnixAddress {
  sockaddr_un address{};
  socklen_t size = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

Result<UnixAddress> toAddress(const std::string& path, const char* syscall) {
  UnixAddress result;
  if (path.empty() || path.size() >= sizeof(result.address.sun_path)) return Error{ENAMETOOLONG, syscall};
  // The kernel would end a path at a zero byte, and mean another file.
  if (path.find('\0') != std::string::npos) return Error{EINVAL, syscall};
  result.address.sun_family = AF_UNIX;
  std::memcpy(result.address.sun_path, path.data(), path.size());
  const size_t nameStart = offsetof(sockaddr_un, sun_path);
  const bool isAbstract = path[0] == '@';
  // An abstract name begins with a zero byte and has no final one.
  if (isAbstract) result.address.sun_path[0] = '\0';
  result.size = static_cast<socklen_t>(nameStart + path.size() + (isAbstract ? 0 : 1));
  return result;
}

// A signal interrupts a wait; what is left of it goes on.
class Deadline {
 public:
  explicit Deadline(int timeoutMs) : endMs_(bootNowMs() + timeoutMs) {}
  bool isOver() const { return bootNowMs() >= endMs_; }
  int leftMs() const { return std::max(0, static_cast<int>(endMs_ - bootNowMs())); }

 private:
  double endMs_;
};

Result<void> waitReadable(int fd, int timeoutMs, const char* syscall) {
  const Deadline deadline(timeoutMs);
  pollfd entry{fd, POLLIN, 0};
  int ready = 0;
  do {
    ready = ::poll(&entry, 1, deadline.leftMs());
  } while (ready < 0 && errno == EINTR);
  if (ready < 0) return lastError("poll");
  if (ready == 0) return Error{ETIMEDOUT, syscall};
  return {};
}

// Bounds what blocks in `call`, a system call that gives -1 and EAGAIN when its time is over.
template <typename Call>
Result<void> sendWithin(int fd, int timeoutMs, const char* syscall, Call call) {
  const Deadline deadline(timeoutMs);
  do {
    const int leftMs = std::max(1, deadline.leftMs());  // 0 would be no bound
    const timeval limit{leftMs / 1000, (leftMs % 1000) * 1000};
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0) return lastError("setsockopt");
    if (call() >= 0) return {};
  } while (errno == EINTR && !deadline.isOver());
  if (errno == EAGAIN || errno == EINTR) return Error{ETIMEDOUT, syscall};
  return lastError(syscall);
}

// A control buffer for exactly one descriptor.
union FdControl {
  cmsghdr header;
  uint8_t bytes[CMSG_SPACE(sizeof(int))];
};

}  // namespace

Result<std::pair<UniqueFd, UniqueFd>> openUnixPair() {
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, FD_SOCKET | SOCK_NONBLOCK, 0, ends) < 0) return lastError("socketpair");
  return std::make_pair(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

Result<UniqueFd> listenUnix(const std::string& path) {
  Result<UnixAddress> address = toAddress(path, "bind");
  if (!address.ok()) return address.error();
  // Another process may take the connection between waiting for it and accepting it.
  UniqueFd fd(::socket(AF_UNIX, FD_SOCKET | SOCK_NONBLOCK, 0));
  if (!fd.isOpen()) return lastError("socket");
  if (::bind(fd.get(), address.value().get(), address.value().size) < 0) return lastError("bind");
  if (::listen(fd.get(), BACKLOG) < 0) return lastError("listen");
  return fd;
}

Result<UniqueFd> acceptUnix(int listener, int timeoutMs) {
  if (Result<void> ready = waitReadable(listener, timeoutMs, "accept"); !ready.ok()) return ready.error();
  UniqueFd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  if (!fd.isOpen()) return lastError("accept");
  return fd;
}

Result<UniqueFd> connectUnix(const std::string& path, int timeoutMs) {
  Result<UnixAddress> address = toAddress(path, "connect");
  if (!address.ok()) return address.error();
  UniqueFd fd(::socket(AF_UNIX, FD_SOCKET, 0));
  if (!fd.isOpen()) return lastError("socket");
  const Result<void> connected = sendWithin(
      fd.get(), timeoutMs, "connect", [&] { return ::connect(fd.get(), address.value().get(), address.value().size); });
  if (!connected.ok()) return connected.error();
  return fd;
}

Result<void> sendFd(int socket, int fd) {
  uint8_t byte = 0;
  iovec part{&byte, 1};
  FdControl control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof(control.bytes);
  cmsghdr* const item = CMSG_FIRSTHDR(&message);
  item->cmsg_level = SOL_SOCKET;
  item->cmsg_type = SCM_RIGHTS;
  item->cmsg_len = CMSG_LEN(sizeof(fd));
  std::memcpy(CMSG_DATA(item), &fd, sizeof(fd));
  if (::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) return lastError("sendmsg");
  return {};
}

Result<UniqueFd> receiveFd(int socket, int timeoutMs) {
  if (Result<void> ready = waitReadable(socket, timeoutMs, "recvmsg"); !ready.ok()) return ready.error();
  uint8_t byte = 0;
  iovec part{&byte, 1};
  FdControl control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  // Not CMSG_SPACE: its alignment has room for a second descriptor, which nobody would close.
  message.msg_controllen = CMSG_LEN(sizeof(int));
  const ssize_t received = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (received < 0) return lastError("recvmsg");
  const cmsghdr* const item = CMSG_FIRSTHDR(&message);
  if (item == nullptr) return Error{received == 0 ? ECONNRESET : EBADMSG, "recvmsg"};
  if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS || item->cmsg_len != CMSG_LEN(sizeof(int))) {
    return Error{EBADMSG, "recvmsg"};
  }
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(item), sizeof(fd));
  UniqueFd passed(fd);
  if ((message.msg_flags & MSG_CTRUNC) != 0) return Error{EBADMSG, "recvmsg"};
  return passed;
}

Result<void> sendUnixDatagram(const std::string& path, const std::string& text, int timeoutMs) {
  Result<UnixAddress> address = toAddress(path, "sendto");
  if (!address.ok()) return address.error();
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.isOpen()) return lastError("socket");
  return sendWithin(fd.get(), timeoutMs, "sendto", [&] {
    return ::sendto(fd.get(), text.data(), text.size(), MSG_NOSIGNAL, address.value().get(), address.value().size);
  });
}

}  // namespace overlay
