#include "udp-socket.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstring>
#include <iterator>

namespace overlay {
namespace {

union SocketAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

Result<void> setOption(int fd, int level, int name, int value, const char* label) {
  if (setsockopt(fd, level, name, &value, sizeof(value)) < 0) return lastError(label);
  return {};
}

// The FORCE variants pass the system's limit but need CAP_NET_ADMIN; a smaller buffer only loses more.
void growBuffers(int fd, int bytes) {
  if (!setOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes, "").ok()) {
    setOption(fd, SOL_SOCKET, SO_RCVBUF, bytes, "");
  }
  if (!setOption(fd, SOL_SOCKET, SO_SNDBUFFORCE, bytes, "").ok()) {
    setOption(fd, SOL_SOCKET, SO_SNDBUF, bytes, "");
  }
}

Result<void> setFamilyOptions(int fd, int family) {
  struct Option {
    int level;
    int name;
    int value;
    const char* label;
  };
  static constexpr Option V4[] = {
      {IPPROTO_IP, IP_PKTINFO, 1, "setsockopt IP_PKTINFO"},
      {IPPROTO_IP, IP_RECVTOS, 1, "setsockopt IP_RECVTOS"},
      {IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT, "setsockopt IP_MTU_DISCOVER"},
  };
  static constexpr Option V6[] = {
      {IPPROTO_IPV6, IPV6_V6ONLY, 1, "setsockopt IPV6_V6ONLY"},
      {IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, "setsockopt IPV6_RECVPKTINFO"},
      {IPPROTO_IPV6, IPV6_RECVTCLASS, 1, "setsockopt IPV6_RECVTCLASS"},
      {IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT, "setsockopt IPV6_MTU_DISCOVER"},
  };
  const Option* option = family == 4 ? std::begin(V4) : std::begin(V6);
  const Option* const end = family == 4 ? std::end(V4) : std::end(V6);
  for (; option != end; option++) {
    Result<void> set = setOption(fd, option->level, option->name, option->value, option->label);
    if (!set.ok()) return set;
  }
  return {};
}

socklen_t encodeAddress(const UdpOptions& options, SocketAddress& address) {
  if (options.family == 4) {
    address.v4.sin_family = AF_INET;
    address.v4.sin_port = htons(options.port);
    if (options.address.size == 4) std::memcpy(&address.v4.sin_addr, options.address.data, 4);
    return sizeof(address.v4);
  }
  address.v6.sin6_family = AF_INET6;
  address.v6.sin6_port = htons(options.port);
  if (options.address.size == 16) std::memcpy(&address.v6.sin6_addr, options.address.data, 16);
  return sizeof(address.v6);
}

}  // namespace

Result<UdpSocket> UdpSocket::open(const UdpOptions& options) {
  const size_t addressBytes = options.family == 4 ? 4 : 16;
  if (options.family != 4 && options.family != 6) return Error{EAFNOSUPPORT, "socket"};
  if (options.address.size != 0 && options.address.size != addressBytes) return Error{EINVAL, "bind"};
  const int domain = options.family == 4 ? AF_INET : AF_INET6;
  UniqueFd fd(::socket(domain, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.isOpen()) return lastError("socket");
  if (Result<void> set = setFamilyOptions(fd.get(), options.family); !set.ok()) return set.error();
  growBuffers(fd.get(), options.bufferBytes);

  SocketAddress address{};
  socklen_t size = encodeAddress(options, address);
  if (::bind(fd.get(), &address.any, size) < 0) return lastError("bind");
  if (::getsockname(fd.get(), &address.any, &size) < 0) return lastError("getsockname");
  const uint16_t port = ntohs(options.family == 4 ? address.v4.sin_port : address.v6.sin6_port);
  UdpSocket socket(std::move(fd), options.family, port);
  if (options.mark != 0) {
    if (Result<void> set = socket.setMark(options.mark); !set.ok()) return set.error();
  }
  return socket;
}

Result<void> UdpSocket::setMark(uint32_t mark) {
  if (setsockopt(fd_.get(), SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0) {
    return lastError("setsockopt SO_MARK");
  }
  return {};
}

bool UdpSocket::takeError() {
  int error = 0;
  socklen_t size = sizeof(error);
  if (getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size) < 0) return false;
  pollfd entry{fd_.get(), 0, 0};
  return ::poll(&entry, 1, 0) == 0;
}

}  // namespace overlay
