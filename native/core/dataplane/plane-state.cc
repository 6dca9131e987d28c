#include "plane-state.h"

#include <algorithm>
#include <utility>

#include "transport-message.h"

namespace overlay {
namespace {

std::unique_ptr<Retirable> owned(const Retirable* object) {
  return std::unique_ptr<Retirable>(const_cast<Retirable*>(object));
}

}  // namespace

PlaneState::PlaneState(PeerBlocks itsBlocks, uint32_t itsMtu)
    : blocks(itsBlocks), indices(epochs), peers(itsBlocks.slots()), mtu(itsMtu), allowedIps_(new AllowedIps) {}

PlaneState::~PlaneState() { delete allowedIps_.load(); }

// Seldom asked: of packets from a port of ours only. So all peers may be looked through.
bool PlaneState::isOwnPayload(ByteView payload) const {
  if (!isTransportData(payload.data, payload.size)) return ownDatagrams.isNoted(payload);
  if (payload.size < TRANSPORT_HEADER_BYTES) return false;
  const TransportHeader header = readTransportHeader(payload.data);
  return std::any_of(peers.begin(), peers.end(), [&header](const std::atomic<Peer*>& place) {
    const Peer* const peer = place.load();
    const Keypair* const keypair = peer == nullptr ? nullptr : peer->rotation.current();
    return keypair != nullptr && keypair->material.remoteIndex == header.receiverIndex &&
           header.counter < keypair->nextCounter.load(std::memory_order_relaxed);
  });
}

void PlaneState::raiseHandshake(Peer& peer) {
  if (peer.isHandshakeRaised.load(std::memory_order_relaxed) || peer.isHandshakeRaised.exchange(true)) return;
  PlaneEvent event;
  event.kind = PlaneEvent::Kind::handshakeNeeded;
  event.slot = peer.slot;
  events.push(std::move(event));
}

void PlaneState::setAllowedIps(std::unique_ptr<AllowedIps> table, const std::vector<uint32_t>& slots) {
  AllowedIps* const old = allowedIps_.exchange(table.release());
  for (const uint32_t slot : slots) {
    if (Peer* const peer = peers[slot].load(); peer != nullptr) peer->isRouted.store(true);
  }
  epochs.retire(owned(old));
}

void PlaneState::setPath(Peer& peer, std::unique_ptr<const Path> path) {
  epochs.retire(owned(peer.path.exchange(path.release())));
}

std::vector<uint32_t> PlaneState::forget(const Fallen& fallen) {
  std::vector<uint32_t> localIndices;
  for (size_t i = 0; i < fallen.count; i++) {
    const uint32_t index = fallen.keypairs[i]->material.localIndex;
    indices.remove(index);
    localIndices.push_back(index);
    epochs.retire(owned(fallen.keypairs[i]));
  }
  return localIndices;
}

void PlaneState::stage(Peer& peer, std::vector<uint8_t> packet) {
  peer.staged.push_back(std::move(packet));
  if (peer.staged.size() > MAX_STAGED_PACKETS) {
    peer.staged.pop_front();
    blocks.countDrop(peer.slot, Drop::stagedOverflow);
  }
  raiseHandshake(peer);
}

void PlaneState::dropStaged(Peer& peer, Drop reason) {
  blocks.countDrops(peer.slot, reason, peer.staged.size());
  peer.staged.clear();
  peer.isHandshakeRaised.store(false);
}

}  // namespace overlay
