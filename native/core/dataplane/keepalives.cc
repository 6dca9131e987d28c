#include "keepalives.h"

#include <algorithm>

#include "outbound.h"

namespace overlay {
namespace {

constexpr double INTERVAL_MS = 1'000;
// How late TypeScript's timers may be, and how long the event loop may be busy, before it counts.
constexpr double GRACE_MS = 1'000;

}  // namespace

void Keepalives::handleTimeout(double nowMs) {
  isBegun_.store(false);
  bool hasLive = false;
  bool hasOverdue = false;
  const bool isStalled = plane_.events.overdueMs(nowMs) >= GRACE_MS;
  for (const std::atomic<Peer*>& place : plane_.peers) {
    Peer* const peer = place.load();
    const Keypair* const keypair = peer == nullptr ? nullptr : peer->rotation.current();
    if (keypair == nullptr || !keypair->canSend(nowMs)) continue;
    hasLive = true;
    if (peer->path.load() == nullptr || !isOverdue(*peer, nowMs)) continue;
    hasOverdue = true;
    if (!isStalled) continue;
    const std::lock_guard<std::mutex> lock(plane_.lock);
    if (plane_.isPresent(*peer)) outbound_.ask(*peer, true);
  }
  if (hasOverdue) plane_.events.probe(nowMs);
  nextMs_ = hasLive ? nowMs + INTERVAL_MS : NEVER;
}

int Keepalives::timeoutMs(double nowMs) const {
  if (nextMs_ == NEVER) return -1;
  return static_cast<int>(std::clamp(nextMs_ - nowMs, 0.0, INTERVAL_MS)) + 1;
}

// The rules of src/wireguard/timers.ts, without what only handshakes know.
bool Keepalives::isOverdue(const Peer& peer, double nowMs) const {
  const PeerBlocks& blocks = plane_.blocks;
  const double sentMs = blocks.get(peer.slot, Field::lastSendMs);
  if (blocks.get(peer.slot, Field::lastDataReceiveMs) > sentMs) {
    const double sinceMs = std::max(sentMs, blocks.get(peer.slot, Field::firstUnansweredReceiveMs));
    if (nowMs >= sinceMs + KEEPALIVE_TIMEOUT_MS + GRACE_MS) return true;
  }
  const double intervalMs = peer.keepaliveIntervalMs.load(std::memory_order_relaxed);
  const double passedMs = std::max(sentMs, blocks.get(peer.slot, Field::lastReceiveMs));
  return intervalMs > 0 && nowMs >= passedMs + intervalMs + GRACE_MS;
}

}  // namespace overlay
