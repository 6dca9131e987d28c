// Keepalives while TypeScript does not run. Its timers decide when an empty message is due (paper sections
// 6.5 and 6.1); only if they are late, and the event loop leaves what waits for it lying, the data plane
// sends one itself, so that peers and NATs on the way do not take us for dead.
#pragma once

#include "plane-state.h"

namespace overlay {

class Outbound;

class Keepalives {
 public:
  Keepalives(PlaneState& plane, Outbound& outbound) : plane_(plane), outbound_(outbound) {}

  // A keypair was installed or confirmed: there is something to watch. From any thread.
  void begin() { isBegun_.store(true); }

  // The following are of the outbound reading turn, inside an epoch. Boot clock.
  bool isDue(double nowMs) const { return nowMs >= nextMs_ || isBegun_.load(std::memory_order_relaxed); }
  // Looks after all peers.
  void handleTimeout(double nowMs);
  // Milliseconds to wait, for poll(): -1 while no keypair is live.
  int timeoutMs(double nowMs) const;

 private:
  bool isOverdue(const Peer& peer, double nowMs) const;

  PlaneState& plane_;
  Outbound& outbound_;
  std::atomic<bool> isBegun_{false};
  double nextMs_ = NEVER;

  static constexpr double NEVER = 1e300;
};

}  // namespace overlay
