#include "inner-port.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>

namespace overlay {
namespace {

// linux/if_tun.h of Linux 6.2; both or neither.
constexpr unsigned OFFLOAD_USO4 = 0x20;
constexpr unsigned OFFLOAD_USO6 = 0x40;
constexpr unsigned OFFLOAD_TCP = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;

// What a socket holds of what its other end has not read: some super-packets, or a burst of small ones.
constexpr int SOCKET_BYTES = 4 << 20;

// The FORCE variant passes the system's limit but needs CAP_NET_ADMIN; with less, more is dropped.
void growBuffer(int fd) {
  if (::setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &SOCKET_BYTES, sizeof(SOCKET_BYTES)) == 0) return;
  (void)::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &SOCKET_BYTES, sizeof(SOCKET_BYTES));
}

bool setOffloads(int fd, unsigned offloads) { return ::ioctl(fd, TUNSETOFFLOAD, offloads) == 0; }

}  // namespace

Result<std::unique_ptr<InnerPort>> InnerPort::open(int fd, bool hasHeaders) {
  UniqueFd own(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!own.isOpen()) return lastError("fcntl");
  ifreq request{};
  const bool isTun = ::ioctl(own.get(), TUNGETIFF, &request) == 0;
  if (!isTun) growBuffer(own.get());
  const bool withHeaders = isTun ? (request.ifr_flags & IFF_VNET_HDR) != 0 : hasHeaders;
  std::unique_ptr<InnerPort> port(new InnerPort(std::move(own), withHeaders));
  if (!withHeaders) return port;
  port->takesUdp_ = !isTun || setOffloads(port->fd(), OFFLOAD_TCP | OFFLOAD_USO4 | OFFLOAD_USO6);
  port->takesTcp_ = port->takesUdp_ || setOffloads(port->fd(), OFFLOAD_TCP);
  return port;
}

ssize_t InnerPort::read(uint8_t* to, size_t size) {
  for (;;) {
    const ssize_t length = ::read(fd_.get(), to, size);
    if (length >= 0 || errno != EINTR) return length;
  }
}

bool InnerPort::write(const iovec* parts, size_t count) {
  if (!hasHeaders_) {
    // Nothing is merged for a port without headers.
    auto* const bytes = static_cast<uint8_t*>(parts->iov_base) + VIRTIO_HEADER_BYTES;
    ssize_t written = 0;
    do {
      written = ::write(fd_.get(), bytes, parts->iov_len - VIRTIO_HEADER_BYTES);
    } while (written < 0 && errno == EINTR);
    return written >= 0;
  }
  ssize_t written = 0;
  do {
    written = ::writev(fd_.get(), parts, static_cast<int>(count));
  } while (written < 0 && errno == EINTR);
  return written >= 0;
}

}  // namespace overlay
