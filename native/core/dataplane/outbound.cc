// Reading: what is taken from the inner interface and from the jobs, up to the counters.

#include "outbound.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "inner-packet.h"

namespace overlay {
namespace {

// Enough for one round: what comes after waits in the interface's own queue, a super-packet at most.
constexpr size_t ENOUGH_BYTES = 60'000;

}  // namespace

void Outbound::ask(Peer& peer, bool isKeepalive) {
  if (peer.job == Peer::Job::none) jobs_.push_back(&peer);
  if (isKeepalive || peer.job == Peer::Job::none) {
    peer.job = isKeepalive ? Peer::Job::sendKeepalive : Peer::Job::sendStaged;
  }
  hasJobs_.store(true);
  wakeUp_.wake();
}

void Outbound::askKeepalive(Peer& peer, double nowMs) {
  if (canSend(peer, nowMs))
    ask(peer, true);
  else
    refuse(peer, true);
}

bool Outbound::canSend(const Peer& peer, double nowMs) const {
  const Keypair* const keypair = peer.rotation.current();
  return peer.path.load() != nullptr && keypair != nullptr && keypair->canSend(nowMs);
}

void Outbound::refuse(Peer& peer, bool isKeepalive) {
  const bool hasStaged = !peer.staged.empty();
  if (peer.path.load() == nullptr) {
    if (hasStaged)
      plane_.dropStaged(peer, Drop::noPath);
    else if (isKeepalive)
      plane_.blocks.countDrop(peer.slot, Drop::noPath);
  } else if (hasStaged) {
    plane_.raiseHandshake(peer);
  } else if (isKeepalive) {
    plane_.stage(peer, {});
  }
}

void Outbound::forgetJobs(const Peer& peer) {
  jobs_.erase(std::remove(jobs_.begin(), jobs_.end(), &peer), jobs_.end());
}

bool Outbound::hasJobs() { return hasJobs_.load(); }

void Outbound::watchKeepalives() {
  keepalives_.begin();
  wakeUp_.wake();
}

void Outbound::stop() {
  isStopped_.store(true);
  wakeUp_.wake();
}

OutboundThread::OutboundThread(Outbound& shared, size_t reader, AeadChoice choice)
    : shared_(shared), plane_(shared.plane_), reader_(reader), aead_(choice), raw_(RAW_BYTES), sealed_(SEALED_BYTES) {
  packets_.reserve(MAX_PACKETS);
  unstaged_.reserve(MAX_PACKETS);
  messages_.reserve(MAX_MESSAGES);
  grouped_.reserve(MAX_MESSAGES);
  toSeal_.reserve(MAX_MESSAGES);
  parts_.reserve(MAX_MESSAGES);
}

void OutboundThread::run() noexcept {
  while (!shared_.isStopped_.load()) {
    const uint64_t ticket = shared_.tickets_.fetch_add(1);
    shared_.reading_.waitFor(ticket);
    readBatch();
    shared_.reading_.pass();
    finishBatch(ticket);
  }
}

// Returns inside an epoch, with packets; without only at the end.
void OutboundThread::readBatch() {
  for (;;) {
    plane_.epochs.enter(reader_);
    if (shared_.isStopped_.load()) return;
    nowMs_ = bootNowMs();
    if (shared_.keepalives_.isDue(nowMs_)) shared_.keepalives_.handleTimeout(nowMs_);
    if (shared_.hasJobs_.load()) takeJobs();
    const bool isDrained = readPackets();
    if (!packets_.empty()) return;
    plane_.epochs.leave(reader_);
    if (isDrained) wait();
  }
}

void OutboundThread::wait() {
  pollfd entries[] = {{shared_.wakeUp_.fd(), POLLIN, 0}, {shared_.inner_.fd(), POLLIN, 0}};
  ::poll(entries, shared_.isGone_ ? 1 : 2, shared_.keepalives_.timeoutMs(nowMs_));
  if (entries[0].revents != 0) shared_.wakeUp_.reset();
}

// --- what was asked for --------------------------------------------------------------------------

void OutboundThread::takeJobs() {
  const std::lock_guard<std::mutex> lock(plane_.lock);
  while (!shared_.jobs_.empty() && packets_.size() < MAX_PACKETS) {
    Peer& peer = *shared_.jobs_.front();
    shared_.jobs_.pop_front();
    takeJob(peer, std::exchange(peer.job, Peer::Job::none) == Peer::Job::sendKeepalive);
  }
  shared_.hasJobs_.store(!shared_.jobs_.empty());
}

void OutboundThread::takeJob(Peer& peer, bool isKeepalive) {
  // Since it was asked for, path or keypair may have gone.
  if (!shared_.canSend(peer, nowMs_)) return shared_.refuse(peer, isKeepalive);
  Keypair& keypair = *peer.rotation.current();
  if (peer.staged.empty() && isKeepalive) unstage(peer, keypair, {});
  while (!peer.staged.empty() && keypair.canSend(nowMs_)) {
    unstage(peer, keypair, std::move(peer.staged.front()));
    peer.staged.pop_front();
  }
  if (!peer.staged.empty()) plane_.raiseHandshake(peer);
}

// `packet`: as it was staged; empty for a keepalive.
void OutboundThread::unstage(Peer& peer, Keypair& keypair, std::vector<uint8_t> packet) {
  unstaged_.push_back(std::move(packet));
  const std::vector<uint8_t>& kept = unstaged_.back();
  const int version = ipVersion(kept.data(), kept.size());
  take(peer, *peer.path.load(), keypair, Segmenter(VirtioHeader{}, kept.data(), kept.size(), version), version);
}

// --- what the inner interface has ----------------------------------------------------------------

// True if nothing more waits there.
bool OutboundThread::readPackets() {
  rawUsed_ = 0;
  const size_t headerBytes = shared_.inner_.hasHeaders() ? VIRTIO_HEADER_BYTES : 0;
  while (!shared_.isGone_ && rawUsed_ < ENOUGH_BYTES && packets_.size() < MAX_PACKETS) {
    uint8_t* const at = raw_.data() + rawUsed_;
    const ssize_t length = shared_.inner_.read(at, InnerPort::MAX_READ_BYTES);
    if (length < 0 && errno == EAGAIN) return true;
    if (length <= 0) {
      shared_.isGone_ = true;
      PlaneEvent event;
      event.error = {length == 0 ? EPIPE : errno, "read"};
      plane_.events.push(std::move(event));
      break;
    }
    VirtioHeader header;
    const auto size = static_cast<size_t>(length);
    if (size >= headerBytes) {
      std::memcpy(&header, at, headerBytes);
      handlePacket(at + headerBytes, size - headerBytes, header);
    }
    // What was not taken needs no room.
    if (!packets_.empty() && packets_.back().segments.isFrom(at + headerBytes)) rawUsed_ += size;
  }
  return shared_.isGone_;
}

void OutboundThread::handlePacket(const uint8_t* bytes, size_t size, const VirtioHeader& header) {
  PeerBlocks& blocks = plane_.blocks;
  const int version = ipVersion(bytes, size);
  const size_t length = version == 0 ? 0 : ipLength(bytes, size, version);
  const Segmenter segments = length == 0 ? Segmenter() : Segmenter(header, bytes, length, version);
  if (!segments.isValid()) {
    blocks.countDrop(blocks.deviceSlot(), Drop::malformedPacket);
    return;
  }
  Peer* const peer = plane_.routeTo(version, destinationOf(bytes, version));
  if (peer == nullptr) {
    blocks.countDrops(blocks.deviceSlot(), Drop::noAllowedIp, segments.count());
    return;
  }
  if (plane_.isOwnDatagram(bytes, length, version)) {
    blocks.countDrops(peer->slot, Drop::routingLoop, segments.count());
    return;
  }
  const Path* const path = peer->path.load();
  if (path == nullptr) {
    blocks.countDrops(peer->slot, Drop::noPath, segments.count());
    return;
  }
  Keypair* keypair = peer->rotation.current();
  if (keypair == nullptr || !keypair->canSend(nowMs_) || !keypair->hasCounters(segments.count())) {
    keypair = stageOrFind(*peer, segments);
  }
  if (keypair != nullptr) take(*peer, *path, *keypair, segments, version);
}

// Stages all segments, unless a keypair has come that can send them: gives that.
Keypair* OutboundThread::stageOrFind(Peer& peer, Segmenter segments) {
  const std::lock_guard<std::mutex> lock(plane_.lock);
  Keypair* const keypair = peer.rotation.current();
  if (keypair != nullptr && keypair->canSend(nowMs_) && keypair->hasCounters(segments.count())) return keypair;
  while (!segments.isDone()) {
    std::vector<uint8_t> packet(segments.nextBytes());
    segments.write(packet.data());
    plane_.stage(peer, std::move(packet));
  }
  return nullptr;
}

// Takes the counters of a packet that will be sent.
void OutboundThread::take(Peer& peer, const Path& path, Keypair& keypair, const Segmenter& segments, int version) {
  const uint64_t counter = keypair.nextCounter.load(std::memory_order_relaxed);
  keypair.nextCounter.store(counter + segments.count(), std::memory_order_relaxed);
  packets_.push_back({segments, version, &peer, &keypair, &path, counter});
  plane_.blocks.set(peer.slot, Field::sendCounter, static_cast<double>(counter + segments.count()));
  if (keypair.isRenewalDueOnSend(nowMs_)) plane_.raiseHandshake(peer);
}

}  // namespace overlay
