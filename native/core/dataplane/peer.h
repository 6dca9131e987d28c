// A peer as packets see it: keypairs, path, and what waits for a handshake.
//
// INVARIANT: readers take pointers inside an epoch only. Everything that is not atomic is guarded by the
// data plane's lock.
#pragma once

#include <deque>
#include <vector>

#include "keypair.h"
#include "path.h"

namespace overlay {

class Peer : public Retirable {
 public:
  explicit Peer(size_t itsSlot) : slot(itsSlot) {}
  ~Peer() override { delete path.load(); }

  const size_t slot;
  KeypairRotation rotation;
  // Owned; replaced ones are retired.
  std::atomic<const Path*> path{nullptr};
  // `handshakeNeeded` was raised, and nothing has come of it yet.
  std::atomic<bool> isHandshakeRaised{false};
  // Whether it is answered where its messages come from; else its path is for TypeScript to choose.
  std::atomic<bool> isRoaming{true};
  // The table of allowed IPs was set while it was there, so what the table says of its slot is meant for it.
  std::atomic<bool> isRouted{false};
  // Of persistent keepalives; 0 for none.
  std::atomic<double> keepaliveIntervalMs{0};
  // What the way out was asked to do for it, and has not done yet.
  enum class Job { none, sendStaged, sendKeepalive };
  Job job = Job::none;
  // Copies of inner packets, oldest first; an empty one stands for a keepalive.
  std::deque<std::vector<uint8_t>> staged;
};

}  // namespace overlay
