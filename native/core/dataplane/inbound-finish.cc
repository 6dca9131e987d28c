// What follows opening, in the order of arrival: replay, commit, source check, merging, writing.

#include <cstring>
#include <utility>

#include "inbound.h"
#include "inner-packet.h"

namespace overlay {

// Passes the finishing turn and leaves the epoch, with messages or without.
void InboundThread::finishBatch(uint64_t ticket) {
  shared_.finishing_.waitFor(ticket);
  finishMessages();
  shared_.finishing_.pass();
  plane_.epochs.leave(reader_);
}

void InboundThread::finishMessages() {
  const std::lock_guard<std::mutex> lock(shared_.finishLock_);
  // Between batches allowed IPs and peers may change.
  known_ = KnownSource{};
  // Here and not where they were found, so that they keep their order, whichever thread read them.
  for (const Control& control : control_) raise(control);
  for (size_t i = 0; i < messages_.size(); i++) finishMessage(messages_[i], toOpen_[i]);
  commitCounts();
  coalescer_.flush();
  messages_.clear();
}

void InboundThread::finishMessage(const Message& message, const AeadMessage& opened) {
  Keypair& keypair = *message.keypair;
  Peer& peer = *keypair.peer;
  if (!opened.isAuthentic) {
    plane_.blocks.countDrop(peer.slot, Drop::authenticationFailed);
    return;
  }
  if (!keypair.window.accept(opened.counter)) {
    plane_.blocks.countDrop(peer.slot, Drop::replayed);
    return;
  }
  commit(message);
  const DatagramInfo& info = message.received->info;
  if (peer.isRoaming.load(std::memory_order_relaxed)) {
    const Path* const path = peer.path.load();
    if (path == nullptr || !path->isWayOf(*port_, info.addresses)) learnPath(peer, keypair, info);
  }
  if (peer.rotation.next() == &keypair) confirm(peer, keypair);
  const Keypair* const current = peer.rotation.current();
  if (current != nullptr && current->isRenewalDueOnReceive(nowMs_)) plane_.raiseHandshake(peer);
  if (opened.length > 0) handlePacket(peer, opened.bytes, opened.length, info.tos);
}

// --- commit --------------------------------------------------------------------------------------

void InboundThread::commit(const Message& message) {
  const Peer* const peer = message.keypair->peer;
  if (counts_.peer != peer) {
    commitCounts();
    counts_.peer = peer;
  }
  counts_.bytes += message.size;
  counts_.messages++;
  counts_.hasData = counts_.hasData || message.size > KEEPALIVE_BYTES;
}

void InboundThread::commitCounts() {
  const Counts counts = std::exchange(counts_, Counts{});
  if (counts.peer == nullptr) return;
  PeerBlocks& blocks = plane_.blocks;
  const size_t slot = counts.peer->slot;
  blocks.add(slot, Field::rxBytes, static_cast<double>(counts.bytes));
  blocks.add(slot, Field::rxMessages, static_cast<double>(counts.messages));
  blocks.set(slot, Field::lastReceiveMs, nowMs_);
  if (!counts.hasData) return;
  blocks.set(slot, Field::lastDataReceiveMs, nowMs_);
  if (blocks.get(slot, Field::firstUnansweredReceiveMs) <= blocks.get(slot, Field::lastSendMs)) {
    blocks.set(slot, Field::firstUnansweredReceiveMs, nowMs_);
  }
}

// --- rare ----------------------------------------------------------------------------------------

// An authentic message came from elsewhere: we send there from now on.
void InboundThread::learnPath(Peer& peer, const Keypair& keypair, const DatagramInfo& info) {
  const std::lock_guard<std::mutex> lock(plane_.lock);
  // Removed, or its socket closed, while the message was opened.
  if (!plane_.isPresent(peer) || !shared_.isWatched(*port_)) return;
  plane_.setPath(peer, std::make_unique<const Path>(*port_, info.addresses));
  PlaneEvent event;
  event.kind = PlaneEvent::Kind::sourceChanged;
  event.slot = peer.slot;
  event.localIndex = keypair.material.localIndex;
  event.socket = port_->id();
  event.family = port_->family();
  event.addresses = info.addresses;
  plane_.events.pushSource(std::move(event));
}

// The initiator has used the keypair we keep as next: it is current now, and what waits can go.
void InboundThread::confirm(Peer& peer, Keypair& keypair) {
  const std::lock_guard<std::mutex> lock(plane_.lock);
  if (!plane_.isPresent(peer) || peer.rotation.next() != &keypair) return;
  const std::vector<uint32_t> removed = plane_.forget(peer.rotation.confirmNext());
  peer.isHandshakeRaised.store(false);
  PlaneEvent event;
  event.kind = PlaneEvent::Kind::keypairConfirmed;
  event.slot = peer.slot;
  event.localIndex = keypair.material.localIndex;
  for (const uint32_t index : removed) event.removed[event.removedCount++] = index;
  plane_.events.push(std::move(event));
  shared_.outbound_.watchKeepalives();
  if (!peer.staged.empty()) shared_.outbound_.ask(peer, false);
}

// --- packets -------------------------------------------------------------------------------------

// `size`: of the opened packet with its padding, above 0.
void InboundThread::handlePacket(Peer& peer, uint8_t* packet, size_t size, uint8_t tos) {
  const int version = ipVersion(packet, size);
  const size_t length = version == 0 ? 0 : ipLength(packet, size, version);
  if (length == 0) {
    plane_.blocks.countDrop(peer.slot, Drop::malformedPacket);
    return;
  }
  if (!isAllowedSource(peer, version, sourceOf(packet, version))) {
    plane_.blocks.countDrop(peer.slot, Drop::sourceNotAllowed);
    return;
  }
  propagateCongestion(packet, version, tos);
  coalescer_.add(packet, length, version, static_cast<uint32_t>(peer.slot));
}

bool InboundThread::isAllowedSource(const Peer& peer, int version, const uint8_t* source) {
  const size_t bytes = addressBytes(version);
  if (known_.version == version && std::memcmp(known_.address, source, bytes) == 0) return known_.peer == &peer;
  known_.peer = plane_.routeTo(version, source);
  known_.version = version;
  std::memcpy(known_.address, source, bytes);
  return known_.peer == &peer;
}

void InboundThread::write(const iovec* parts, size_t partCount, size_t packets, uint32_t tag) {
  if (shared_.inner_.write(parts, partCount)) return;
  plane_.blocks.countDrops(tag, Drop::innerWriteFailed, packets);
}

}  // namespace overlay
