// A TUN interface: inner IP packets, one per read and write, without packet information header. With
// offloads, which the native data plane asks for, each has a virtio header before it: then the batches
// here are not for it.
// The interface lives as long as this object, unless someone else made it persistent.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "addresses.h"
#include "links.h"
#include "result.h"
#include "slab.h"
#include "unique-fd.h"

namespace overlay {

// Where an interface is now: anybody may have renamed it, or moved it into another network namespace.
struct TunPlace {
  // Inode of its namespace; 0 if the kernel does not tell (before Linux 5.2).
  uint64_t namespaceId = 0;
  bool isAway = false;
  // Nothing where we may not look.
  std::optional<LinkInfo> link;
  // If asked for.
  std::vector<InterfaceAddress> addresses;
};

class Tun {
 public:
  // `name` may hold `%d`: the kernel picks the first free number.
  static Result<Tun> create(const std::string& name, bool hasOffloads);
  // Takes over the descriptor of an open TUN. It is closed if it is none, or one with packet headers.
  static Result<Tun> adopt(UniqueFd fd);

  const std::string& name() const { return name_; }
  uint32_t linkIndex() const { return linkIndex_; }
  int fd() const { return fd_.get(); }

  // Packets read into slots from 0. An error only if nothing was read and the interface is gone.
  Result<size_t> readBatch(const Slab& slab);
  // How many of the slots 0 to `count` the interface took.
  size_t writeBatch(const Slab& slab, size_t count);
  // EBADFD if the interface is gone.
  Result<TunPlace> place(bool withAddresses) const;
  // Why the interface cannot be read; 0 if it can.
  int pendingError();

 private:
  Tun(UniqueFd fd, std::string name, uint32_t linkIndex)
      : fd_(std::move(fd)), name_(std::move(name)), linkIndex_(linkIndex) {}

  UniqueFd fd_;
  std::string name_;
  uint32_t linkIndex_;
};

}  // namespace overlay
