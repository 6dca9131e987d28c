// From which of our sockets, to which remote endpoint, from which local address. Immutable: a peer moves
// by getting another one.
#pragma once

#include <atomic>
#include <cstring>

#include "../datagram.h"
#include "epochs.h"
#include "outer-port.h"

namespace overlay {

struct Path : Retirable {
  Path(OuterPort& throughPort, const Addresses& at) : socket(&throughPort), addresses(at) {}

  // Whether a datagram that came this way is no news. A local address that was not told is no change.
  bool isWayOf(const OuterPort& other, const Addresses& at) const {
    return socket == &other && addresses.remotePort == at.remotePort && addresses.remoteScope == at.remoteScope &&
           std::memcmp(addresses.remote, at.remote, sizeof(at.remote)) == 0 &&
           (!at.hasLocal() || std::memcmp(addresses.local, at.local, sizeof(at.local)) == 0);
  }

  OuterPort* const socket;
  const Addresses addresses;
  // The kernel refused a train on this way, most likely because of its MTU: no more of them until then.
  mutable std::atomic<double> singleUntilMs{0};
};

}  // namespace overlay
