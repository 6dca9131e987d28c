#include "data-plane.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <utility>

namespace overlay {
namespace {

// What waits in a socket is what a ping under load waits for: measured, twice as much doubles that and
// carries nothing more, half as much loses packets.
constexpr int QUEUE_BYTES = 1 << 19;

}  // namespace

Result<std::unique_ptr<DataPlane>> DataPlane::create(const DataPlaneOptions& options) {
  Result<std::unique_ptr<InnerPort>> inner = InnerPort::open(options.innerFd, options.hasHeaders);
  if (!inner.ok()) return inner.error();
  std::unique_ptr<DataPlane> plane(new DataPlane(options, std::move(inner.value())));
  plane->startThreads(options.threads, options.aead);
  return plane;
}

DataPlane::DataPlane(const DataPlaneOptions& options, std::unique_ptr<InnerPort> inner)
    : wanted_(options.offloads),
      aead_(options.aead.name),
      inner_(std::move(inner)),
      plane_(options.blocks, options.mtu),
      outbound_(plane_, *inner_),
      inbound_(plane_, *inner_, outbound_) {}

DataPlane::~DataPlane() { stop(); }

void DataPlane::startThreads(size_t count, AeadChoice aead) {
  // The last reader is whoever delivers frames.
  constexpr size_t FRAMES_READER = Epochs::MAX_READERS - 1;
  const size_t each = std::clamp<size_t>(count, 1, FRAMES_READER / 2);
  frames_ = std::make_unique<InboundThread>(inbound_, FRAMES_READER, aead);
  // Signals are the event loop's: threads inherit the mask of their maker.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (size_t i = 0; i < each; i++) {
    threads_.emplace_back([this, i, aead] { OutboundThread(outbound_, 2 * i, aead).run(); });
    pthread_setname_np(threads_.back().native_handle(), "overlay-out");
    threads_.emplace_back([this, i, aead] { InboundThread(inbound_, 2 * i + 1, aead).run(); });
    pthread_setname_np(threads_.back().native_handle(), "overlay-in");
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void DataPlane::stop() {
  if (std::exchange(isStopped_, true)) return;
  outbound_.stop();
  inbound_.stop();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  for (size_t slot = 0; slot < plane_.peers.size(); slot++) {
    if (hasPeer(slot)) removePeer(slot);
  }
  while (!sockets_.empty()) closeSocket(sockets_.begin()->first);
  while (!framePorts_.empty()) closeSocket(framePorts_.begin()->first);
  plane_.events.take();
}

PlaneDescription DataPlane::describe() const {
  Offloads offloads;
  offloads.innerTcp = inner_->takesTcp();
  offloads.innerUdp = inner_->takesUdp();
  if (!sockets_.empty()) {
    const OuterSocket& newest = *sockets_.rbegin()->second;
    offloads.outerSend = newest.sendsTrains();
    offloads.outerReceive = newest.receivesTrains();
  }
  return {aead_, threads_.size() / 2, offloads};
}

// --- sockets -------------------------------------------------------------------------------------

Result<DataPlane::OpenedSocket> DataPlane::openSocket(UdpOptions options) {
  if (isStopped_) return Error{ESHUTDOWN, "socket"};
  if (options.mark == 0) options.mark = mark_;
  options.bufferBytes = QUEUE_BYTES;
  const uint32_t id = lastSocket_ + 1;
  Result<std::unique_ptr<OuterSocket>> opened = OuterSocket::open(id, options, wanted_);
  if (!opened.ok()) return opened.error();
  OuterSocket& socket = *opened.value();
  const std::lock_guard<std::mutex> lock(plane_.lock);
  if (Result<void> watched = inbound_.watch(socket); !watched.ok()) return watched.error();
  lastSocket_ = id;
  plane_.ownDatagrams.addPort(socket.port());
  sockets_[id] = std::move(opened.value());
  return OpenedSocket{id, socket.port()};
}

uint32_t DataPlane::openFramePort() {
  const uint32_t id = ++lastSocket_;
  framePorts_[id] = std::make_unique<FramePort>(id, plane_.events, plane_.blocks);
  return id;
}

void DataPlane::closeSocket(uint32_t id) {
  OuterPort* const port = findPort(id);
  if (port == nullptr) return;
  const auto socket = sockets_.find(id);
  {
    const std::lock_guard<std::mutex> lock(plane_.lock);
    if (socket != sockets_.end()) {
      inbound_.unwatch(*socket->second);
      forgetPort(*socket->second);
    }
    forgetPaths(*port);
  }
  // Its port is free when this returns.
  plane_.epochs.synchronize();
  sockets_.erase(id);
  framePorts_.erase(id);
}

OuterPort* DataPlane::findPort(uint32_t id) {
  if (const auto socket = sockets_.find(id); socket != sockets_.end()) return socket->second.get();
  const auto frames = framePorts_.find(id);
  return frames == framePorts_.end() ? nullptr : frames->second.get();
}

// Sockets of both families mostly share their number.
void DataPlane::forgetPort(const OuterSocket& closing) {
  const bool isShared = std::any_of(sockets_.begin(), sockets_.end(), [&closing](const auto& entry) {
    return entry.second.get() != &closing && entry.second->port() == closing.port();
  });
  if (!isShared) plane_.ownDatagrams.removePort(closing.port());
}

void DataPlane::forgetPaths(const OuterPort& port) {
  for (const std::atomic<Peer*>& place : plane_.peers) {
    Peer* const peer = place.load();
    const Path* const path = peer == nullptr ? nullptr : peer->path.load();
    if (path != nullptr && path->socket == &port) plane_.setPath(*peer, nullptr);
  }
}

void DataPlane::deliver(uint32_t port, const Addresses& addresses, uint8_t* bytes, size_t size, size_t segmentBytes) {
  const auto found = framePorts_.find(port);
  if (isStopped_ || found == framePorts_.end() || size == 0) return;
  const auto segment = static_cast<uint16_t>(std::min<size_t>(segmentBytes, UINT16_MAX));
  frames_->deliver(*found->second, Received{bytes, size, DatagramInfo{addresses, 0, segment}});
}

Result<void> DataPlane::setMark(uint32_t mark) {
  for (const auto& [id, socket] : sockets_) {
    if (Result<void> set = socket->setMark(mark); !set.ok()) return set;
  }
  mark_ = mark;
  return {};
}

bool DataPlane::sendDatagram(uint32_t socket, const DatagramInfo& info, ByteView bytes) {
  OuterPort* const port = findPort(socket);
  if (port == nullptr || bytes.size == 0) return false;
  plane_.ownDatagrams.note(bytes);
  return port->sendOne(info, bytes);
}

// --- peers ---------------------------------------------------------------------------------------

bool DataPlane::hasPeer(size_t slot) const {
  return slot < plane_.peers.size() && plane_.peers[slot].load() != nullptr;
}

void DataPlane::addPeer(size_t slot) {
  // Whoever still carries a packet of the slot's last peer writes to the block we clear.
  plane_.epochs.synchronize();
  plane_.blocks.clear(slot);
  plane_.peers[slot].store(new Peer(slot));
}

std::vector<uint32_t> DataPlane::removePeer(size_t slot) {
  const std::lock_guard<std::mutex> lock(plane_.lock);
  Peer& peer = peerIn(slot);
  outbound_.forgetJobs(peer);
  std::vector<uint32_t> removed = plane_.forget(peer.rotation.clear());
  plane_.peers[slot].store(nullptr);
  plane_.epochs.retire(std::unique_ptr<Retirable>(&peer));
  return removed;
}

void DataPlane::changeAllowedIps(const std::vector<AllowedIp>& changes) {
  std::unique_ptr<AllowedIps> table = plane_.nextAllowedIps();
  std::vector<uint32_t> slots;
  for (const AllowedIp& change : changes) {
    if (change.slot == AllowedIp::NOBODY) {
      table->remove(change.version, change.address, change.bits);
    } else if (change.slot < plane_.peers.size()) {
      table->insert(change.version, change.address, change.bits, change.slot);
      if (slots.empty() || slots.back() != change.slot) slots.push_back(change.slot);
    }
  }
  const std::lock_guard<std::mutex> lock(plane_.lock);
  plane_.setAllowedIps(std::move(table), slots);
}

void DataPlane::setPath(size_t slot, uint32_t socket, const Addresses& addresses) {
  OuterPort* const port = findPort(socket);
  if (port == nullptr) {
    clearPath(slot);
    return;
  }
  const std::lock_guard<std::mutex> lock(plane_.lock);
  plane_.setPath(peerIn(slot), std::make_unique<const Path>(*port, addresses));
}

void DataPlane::setRoaming(size_t slot, bool isRoaming) { peerIn(slot).isRoaming.store(isRoaming); }

void DataPlane::clearPath(size_t slot) {
  const std::lock_guard<std::mutex> lock(plane_.lock);
  plane_.setPath(peerIn(slot), nullptr);
}

// --- keypairs and what waits for them ------------------------------------------------------------

std::vector<uint32_t> DataPlane::installKeypair(size_t slot, const KeypairMaterial& material) {
  const std::lock_guard<std::mutex> lock(plane_.lock);
  Peer& peer = peerIn(slot);
  auto* const keypair = new Keypair(peer, material);
  std::vector<uint32_t> removed = plane_.forget(peer.rotation.install(*keypair));
  plane_.indices.insert(*keypair);
  peer.isHandshakeRaised.store(false);
  outbound_.watchKeepalives();
  return removed;
}

std::vector<uint32_t> DataPlane::removeKeypairs(size_t slot) {
  const std::lock_guard<std::mutex> lock(plane_.lock);
  Peer& peer = peerIn(slot);
  peer.isHandshakeRaised.store(false);
  return plane_.forget(peer.rotation.clear());
}

void DataPlane::sendKeepalive(size_t slot) {
  const std::lock_guard<std::mutex> lock(plane_.lock);
  outbound_.askKeepalive(peerIn(slot), bootNowMs());
}

void DataPlane::setKeepaliveInterval(size_t slot, double intervalMs) {
  peerIn(slot).keepaliveIntervalMs.store(intervalMs);
}

void DataPlane::dropStaged(size_t slot) {
  const std::lock_guard<std::mutex> lock(plane_.lock);
  plane_.dropStaged(peerIn(slot), Drop::handshakeFailed);
}

// --- rest ----------------------------------------------------------------------------------------

// Nothing waits at any port, nobody works, and nobody has worked while we looked.
bool DataPlane::isIdle() {
  const uint64_t entries = plane_.epochs.entries();
  if (outbound_.hasJobs() || hasInput() || plane_.epochs.isAnyInside() || hasInput()) return false;
  return !outbound_.hasJobs() && plane_.epochs.entries() == entries;
}

bool DataPlane::hasInput() const {
  std::vector<pollfd> entries{{inner_->fd(), POLLIN, 0}};
  for (const auto& [id, socket] : sockets_) entries.push_back({socket->fd(), POLLIN, 0});
  return ::poll(entries.data(), entries.size(), 0) > 0;
}

}  // namespace overlay
