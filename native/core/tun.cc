#include "tun.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

namespace overlay {
namespace {

Result<uint32_t> indexOf(const char* name) {
  const uint32_t index = if_nametoindex(name);
  if (index == 0) return lastError("if_nametoindex");
  return index;
}

Result<void> setNonBlocking(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) return lastError("fcntl");
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) return lastError("fcntl");
  return {};
}

// linux/if_tun.h of Linux 5.2.
constexpr unsigned long GET_NAMESPACE = _IO('T', 227);

}  // namespace

Result<Tun> Tun::create(const std::string& name, bool hasOffloads) {
  ifreq request{};
  if (name.size() >= sizeof(request.ifr_name)) return Error{ENAMETOOLONG, "TUNSETIFF"};
  UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd.isOpen()) return lastError("open");
  std::memcpy(request.ifr_name, name.data(), name.size());
  request.ifr_flags = static_cast<short>(IFF_TUN | IFF_NO_PI | (hasOffloads ? IFF_VNET_HDR : 0));
  if (ioctl(fd.get(), TUNSETIFF, &request) < 0) return lastError("TUNSETIFF");
  Result<uint32_t> index = indexOf(request.ifr_name);
  if (!index.ok()) return index.error();
  return Tun(std::move(fd), request.ifr_name, index.value());
}

Result<Tun> Tun::adopt(UniqueFd fd) {
  ifreq request{};
  if (ioctl(fd.get(), TUNGETIFF, &request) < 0) return lastError("TUNGETIFF");
  constexpr int relevant = IFF_TUN | IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  if ((request.ifr_flags & relevant) != (IFF_TUN | IFF_NO_PI)) return Error{EPROTOTYPE, "TUNGETIFF"};
  if (Result<void> set = setNonBlocking(fd.get()); !set.ok()) return set.error();
  Result<uint32_t> index = indexOf(request.ifr_name);
  if (!index.ok()) return index.error();
  return Tun(std::move(fd), request.ifr_name, index.value());
}

Result<TunPlace> Tun::place(bool withAddresses) const {
  ifreq request{};
  if (ioctl(fd_.get(), TUNGETIFF, &request) < 0) return lastError("TUNGETIFF");
  TunPlace place;
  int32_t networkNamespace = OWN_NAMESPACE;
  const UniqueFd descriptor(ioctl(fd_.get(), GET_NAMESPACE));
  struct stat there {};
  struct stat here {};
  if (descriptor.isOpen() && ::fstat(descriptor.get(), &there) == 0) {
    if (::stat("/proc/self/ns/net", &here) < 0) return lastError("stat");
    place.namespaceId = there.st_ino;
    place.isAway = there.st_ino != here.st_ino;
  }
  if (place.isAway) {
    Result<int32_t> number = namespaceNumber(descriptor.get());
    if (!number.ok()) return place;
    networkNamespace = number.value();
  }
  Result<std::optional<LinkInfo>> link = findLink(request.ifr_name, networkNamespace);
  if (!link.ok() || !link.value()) return place;
  place.link = std::move(link.value());
  if (!withAddresses) return place;
  Result<std::vector<InterfaceAddress>> addresses = listAddresses(place.link->index, networkNamespace);
  if (addresses.ok()) place.addresses = std::move(addresses.value());
  return place;
}

Result<size_t> Tun::readBatch(const Slab& slab) {
  size_t count = 0;
  while (count < slab.slots) {
    const ssize_t length = ::read(fd_.get(), slab.at(count), slab.capacity());
    if (length >= 0) {
      slab.lengths[count++] = static_cast<uint32_t>(length);
    } else if (errno != EINTR) {
      if (errno == EAGAIN || count > 0) break;
      return lastError("read");
    }
  }
  return count;
}

size_t Tun::writeBatch(const Slab& slab, size_t count) {
  const size_t end = std::min(count, slab.slots);
  size_t written = 0;
  for (size_t slot = 0; slot < end; slot++) {
    const size_t length = std::min<size_t>(slab.lengths[slot], slab.capacity());
    ssize_t result = 0;
    do {
      result = ::write(fd_.get(), slab.at(slot), length);
    } while (result < 0 && errno == EINTR);
    if (result >= 0) written++;
  }
  return written;
}

int Tun::pendingError() {
  // TUNGETIFF tells an attached from a detached queue without taking a packet.
  ifreq request{};
  return ioctl(fd_.get(), TUNGETIFF, &request) < 0 ? errno : 0;
}

}  // namespace overlay
