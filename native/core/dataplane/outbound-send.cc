// Sealing and sending: what was read becomes messages, trains and datagrams.

#include <algorithm>
#include <utility>

#include "inner-packet.h"
#include "outbound.h"
#include "sealing.h"
#include "transport-message.h"

namespace overlay {

// Passes the sending turn and leaves the epoch, with packets or without.
void OutboundThread::finishBatch(uint64_t ticket) {
  for (Packet& packet : packets_) writeMessages(packet, ticket);
  flush(ticket);
  shared_.sending_.pass();
  isSendingTurn_ = false;
  packets_.clear();
  unstaged_.clear();
  plane_.epochs.leave(reader_);
}

void OutboundThread::writeMessages(Packet& packet, uint64_t ticket) {
  const size_t mtu = plane_.mtu.load(std::memory_order_relaxed);
  while (!packet.segments.isDone()) {
    const size_t innerBytes = packet.segments.nextBytes();
    const size_t paddedBytes = innerBytes + paddingOf(innerBytes, mtu);
    const bool hasRoom = sealedUsed_ + paddedBytes + KEEPALIVE_BYTES <= SEALED_BYTES;
    if (!hasRoom || messages_.size() == MAX_MESSAGES) flush(ticket);
    writeMessage(packet, innerBytes, paddedBytes);
  }
}

void OutboundThread::writeMessage(Packet& packet, size_t innerBytes, size_t paddedBytes) {
  uint8_t* const message = sealed_.data() + sealedUsed_;
  uint8_t* const inner = message + TRANSPORT_HEADER_BYTES;
  const size_t size = paddedBytes + KEEPALIVE_BYTES;
  writeTransportHeader(message, {packet.keypair->material.remoteIndex, packet.counter});
  packet.segments.write(inner);
  std::memset(inner + innerBytes, 0, paddedBytes - innerBytes);
  // The inner ECN bits go outside; the DSCP stays inside.
  const uint8_t tos = packet.version == 0 ? 0 : ecnOf(inner, packet.version);
  messages_.push_back({packet.peer, packet.path, packet.keypair, message, size, packet.counter, tos, innerBytes > 0});
  sealedUsed_ += size;
  packet.counter++;
}

void OutboundThread::flush(uint64_t ticket) {
  groupByPeer();
  seal();
  if (!isSendingTurn_) {
    shared_.sending_.waitFor(ticket);
    isSendingTurn_ = true;
  }
  sendTrains();
  messages_.clear();
  sealedUsed_ = 0;
}

// Brings messages of one peer together, in their order, so that they seal and travel together.
void OutboundThread::groupByPeer() {
  std::array<const Peer*, MAX_MESSAGES> peers;
  std::array<size_t, MAX_MESSAGES> counts{};
  std::array<size_t, MAX_MESSAGES> groups;
  size_t groupCount = 0;
  for (size_t i = 0; i < messages_.size(); i++) {
    const Peer* const peer = messages_[i].peer;
    size_t group = i > 0 && messages_[i - 1].peer == peer ? groups[i - 1] : 0;
    while (group < groupCount && peers[group] != peer) group++;
    if (group == groupCount) peers[groupCount++] = peer;
    groups[i] = group;
    counts[group]++;
  }
  if (groupCount < 2) return;
  std::array<size_t, MAX_MESSAGES> places;
  size_t place = 0;
  for (size_t group = 0; group < groupCount; group++) {
    places[group] = place;
    place += counts[group];
  }
  grouped_.resize(messages_.size());
  for (size_t i = 0; i < messages_.size(); i++) grouped_[places[groups[i]]++] = messages_[i];
  std::swap(messages_, grouped_);
}

void OutboundThread::seal() {
  for (size_t first = 0; first < messages_.size();) {
    const Keypair* const keypair = messages_[first].keypair;
    toSeal_.clear();
    size_t end = first;
    for (; end < messages_.size() && messages_[end].keypair == keypair; end++) {
      const Message& message = messages_[end];
      const auto length = static_cast<uint32_t>(message.size - KEEPALIVE_BYTES);
      toSeal_.push_back({message.bytes + TRANSPORT_HEADER_BYTES, length, false, message.counter});
    }
    sealMessages(aead_, keypair->material.sendKey.data(), toSeal_.data(), toSeal_.size());
    first = end;
  }
}

// One call per socket, as long as its messages stand together.
void OutboundThread::sendTrains() {
  std::array<Train, OuterPort::MAX_TRAINS> trains;
  std::array<size_t, OuterPort::MAX_TRAINS> firsts;
  for (size_t at = 0; at < messages_.size();) {
    OuterPort* const socket = messages_[at].path->socket;
    size_t count = 0;
    parts_.clear();
    while (at < messages_.size() && count < trains.size() && messages_[at].path->socket == socket) {
      firsts[count] = at;
      layTrain(at, trains[count]);
      at += trains[count++].count;
    }
    const double nowMs = bootNowMs();
    socket->send(trains.data(), count, nowMs);
    for (size_t i = 0; i < count; i++) account(trains[i], firsts[i], nowMs);
  }
}

// As many messages from `first` on as the kernel takes as one.
void OutboundThread::layTrain(size_t first, Train& train) {
  const Message& head = messages_[first];
  const size_t firstPart = parts_.size();
  parts_.push_back({head.bytes, head.size});
  train = Train{head.path, head.tos, nullptr, 0, head.size, head.size, 1, head.peer->slot, 0};
  const bool mayJoin =
      head.path->socket->sendsTrains() && nowMs_ >= head.path->singleUntilMs.load(std::memory_order_relaxed);
  const size_t limit = mayJoin ? OuterPort::MAX_TRAIN_COUNT : 1;
  for (size_t i = first + 1; i < messages_.size() && train.count < limit; i++) {
    const Message& next = messages_[i];
    const bool fits = next.size <= train.segmentBytes && train.totalBytes + next.size <= OuterPort::MAX_TRAIN_BYTES;
    if (next.path != head.path || next.tos != head.tos || !fits) break;
    iovec& last = parts_.back();
    if (static_cast<uint8_t*>(last.iov_base) + last.iov_len == next.bytes)
      last.iov_len += next.size;
    else
      parts_.push_back({next.bytes, next.size});
    train.totalBytes += next.size;
    train.count++;
    if (next.size < train.segmentBytes) break;
  }
  train.parts = &parts_[firstPart];
  train.partCount = parts_.size() - firstPart;
}

// A refused message counts as an attempt to the timers, so that nobody tries again at once.
void OutboundThread::account(const Train& train, size_t first, double nowMs) {
  PeerBlocks& blocks = plane_.blocks;
  const size_t slot = messages_[first].peer->slot;
  size_t bytes = 0;
  bool isData = false;
  for (size_t i = first; i < first + train.taken; i++) {
    bytes += messages_[i].size;
    isData = isData || messages_[i].isData;
  }
  blocks.set(slot, Field::lastSendMs, nowMs);
  if (train.taken < train.count) blocks.countDrops(slot, Drop::outerSendFailed, train.count - train.taken);
  blocks.add(slot, Field::txBytes, static_cast<double>(bytes));
  blocks.add(slot, Field::txMessages, static_cast<double>(train.taken));
  if (!isData) return;
  blocks.set(slot, Field::lastDataSendMs, nowMs);
  if (blocks.get(slot, Field::firstUnansweredSendMs) <= blocks.get(slot, Field::lastReceiveMs)) {
    blocks.set(slot, Field::firstUnansweredSendMs, nowMs);
  }
}

}  // namespace overlay
