// Receiving, sorting and opening; what follows in order is in inbound-finish.cc.

#include "inbound.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <utility>

#include "sealing.h"
#include "transport-message.h"

namespace overlay {
namespace {

constexpr uint32_t WAKE_UP = UINT32_MAX;
constexpr size_t MAX_BATCHES_BETWEEN_WAITS = 16;

}  // namespace

Inbound::Inbound(PlaneState& plane, InnerPort& inner, Outbound& outbound)
    : plane_(plane), inner_(inner), outbound_(outbound), epoll_(::epoll_create1(EPOLL_CLOEXEC)), sockets_(new Sockets) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u32 = WAKE_UP;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wakeUp_.fd(), &event);
}

Inbound::~Inbound() { delete sockets_.load(); }

Result<void> Inbound::watch(OuterSocket& socket) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u32 = socket.id();
  auto sockets = std::make_unique<Sockets>();
  sockets->all = sockets_.load()->all;
  sockets->all.push_back(&socket);
  publish(std::move(sockets));
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket.fd(), &event) < 0) {
    unwatch(socket);
    return lastError("epoll_ctl");
  }
  return {};
}

void Inbound::unwatch(const OuterSocket& socket) {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket.fd(), nullptr);
  auto sockets = std::make_unique<Sockets>();
  for (OuterSocket* const other : sockets_.load()->all) {
    if (other != &socket) sockets->all.push_back(other);
  }
  publish(std::move(sockets));
}

bool Inbound::isWatched(const OuterPort& port) const {
  const std::vector<OuterSocket*>& all = sockets_.load()->all;
  return std::any_of(all.begin(), all.end(), [&](const OuterSocket* socket) { return socket == &port; });
}

void Inbound::publish(std::unique_ptr<Sockets> sockets) {
  const Sockets* const old = sockets_.exchange(sockets.release());
  plane_.epochs.retire(std::unique_ptr<Retirable>(const_cast<Sockets*>(old)));
}

void Inbound::stop() {
  isStopped_.store(true);
  wakeUp_.wake();
}

InboundThread::InboundThread(Inbound& shared, size_t reader, AeadChoice choice)
    : shared_(shared),
      plane_(shared.plane_),
      reader_(reader),
      aead_(choice),
      coalescer_(*this, {shared.inner_.takesTcp(), shared.inner_.takesUdp()}) {
  constexpr size_t USUAL_MESSAGES = 256;
  messages_.reserve(USUAL_MESSAGES);
  toOpen_.reserve(USUAL_MESSAGES);
}

void InboundThread::run() noexcept {
  while (!shared_.isStopped_.load()) {
    const uint64_t ticket = shared_.tickets_.fetch_add(1);
    shared_.reading_.waitFor(ticket);
    receiveBatch();
    shared_.reading_.pass();
    sortDatagrams();
    open();
    finishBatch(ticket);
  }
}

void InboundThread::deliver(OuterPort& port, const Received& received) {
  plane_.epochs.enter(reader_);
  nowMs_ = bootNowMs();
  port_ = &port;
  messages_.clear();
  toOpen_.clear();
  control_.clear();
  sortTrain(received);
  open();
  finishMessages();
  plane_.epochs.leave(reader_);
}

// Returns inside an epoch, with datagrams; without only at the end.
void InboundThread::receiveBatch() {
  received_ = 0;
  for (;;) {
    plane_.epochs.enter(reader_);
    if (shared_.isStopped_.load()) return;
    while (received_ == 0 && !shared_.ready_.empty()) {
      const Inbound::Ready ready = shared_.ready_.front();
      shared_.ready_.pop_front();
      receiveFrom(ready);
    }
    if (received_ > 0) return;
    plane_.epochs.leave(reader_);
    wait(true);
  }
}

void InboundThread::receiveFrom(const Inbound::Ready& ready) {
  const std::vector<OuterSocket*>& sockets = shared_.sockets_.load()->all;
  const auto found =
      std::find_if(sockets.begin(), sockets.end(), [&](const OuterSocket* socket) { return socket->id() == ready.id; });
  if (found == sockets.end()) return;
  OuterSocket& socket = **found;
  port_ = &socket;
  // An error that an earlier datagram has left would make it look readable for ever.
  if (ready.hasError) socket.takeError();
  received_ = socket.receive(buffers_);
  nowMs_ = bootNowMs();
  // With fewer than asked for it is empty: what comes next is epoll's to tell.
  if (!buffers_.isFull(received_)) return;
  shared_.ready_.push_back({ready.id, false});
  // A busy socket must not keep another one from being seen.
  if (++shared_.batchesSinceWait_ >= MAX_BATCHES_BETWEEN_WAITS) wait(false);
}

void InboundThread::wait(bool isPatient) {
  std::array<epoll_event, 8> events;
  shared_.batchesSinceWait_ = 0;
  const int count =
      ::epoll_wait(shared_.epoll_.get(), events.data(), static_cast<int>(events.size()), isPatient ? -1 : 0);
  for (int i = 0; i < count; i++) {
    const epoll_event& event = events[static_cast<size_t>(i)];
    const uint32_t id = event.data.u32;
    if (id == WAKE_UP) continue;
    const auto isKnown = [id](const Inbound::Ready& ready) { return ready.id == id; };
    if (std::any_of(shared_.ready_.begin(), shared_.ready_.end(), isKnown)) continue;
    shared_.ready_.push_back({id, (event.events & EPOLLERR) != 0});
  }
}

// --- sorting -------------------------------------------------------------------------------------

void InboundThread::sortDatagrams() {
  messages_.clear();
  toOpen_.clear();
  control_.clear();
  for (size_t i = 0; i < received_; i++) sortTrain(buffers_.at(i));
}

void InboundThread::sortTrain(const Received& received) {
  const size_t segmentBytes = received.segmentBytes();
  size_t at = 0;
  do {
    const size_t size = std::min(segmentBytes, received.size - at);
    sortDatagram(received, received.bytes + at, size);
    at += size;
  } while (at < received.size);
}

void InboundThread::sortDatagram(const Received& received, uint8_t* bytes, size_t size) {
  PeerBlocks& blocks = plane_.blocks;
  if (!isTransportData(bytes, size)) {
    control_.push_back({&received, bytes, size});
    return;
  }
  if (size < KEEPALIVE_BYTES) {
    blocks.countDrop(blocks.deviceSlot(), Drop::malformedDatagram);
    return;
  }
  const TransportHeader header = readTransportHeader(bytes);
  const bool isLastFound = !messages_.empty() && messages_.back().keypair->material.localIndex == header.receiverIndex;
  Keypair* const keypair = isLastFound ? messages_.back().keypair : plane_.indices.find(header.receiverIndex);
  if (keypair == nullptr) {
    blocks.countDrop(blocks.deviceSlot(), Drop::unknownReceiver);
    return;
  }
  if (keypair->isExpired(nowMs_) || header.counter >= REJECT_AFTER_MESSAGES) {
    blocks.countDrop(keypair->peer->slot, Drop::keypairExpired);
    return;
  }
  messages_.push_back({&received, keypair, size});
  const auto length = static_cast<uint32_t>(size - KEEPALIVE_BYTES);
  toOpen_.push_back({bytes + TRANSPORT_HEADER_BYTES, length, false, header.counter});
}

void InboundThread::raise(const Control& control) {
  PlaneEvent event;
  event.kind = PlaneEvent::Kind::datagram;
  event.socket = port_->id();
  event.family = port_->family();
  event.addresses = control.received->info.addresses;
  event.bytes.assign(control.bytes, control.bytes + control.size);
  if (plane_.events.tryPushDatagram(std::move(event))) return;
  plane_.blocks.countDrop(plane_.blocks.deviceSlot(), Drop::controlOverflow);
}

void InboundThread::open() {
  for (size_t first = 0; first < messages_.size();) {
    const Keypair* const keypair = messages_[first].keypair;
    size_t end = first + 1;
    while (end < messages_.size() && messages_[end].keypair == keypair) end++;
    openMessages(aead_, keypair->material.receiveKey.data(), &toOpen_[first], end - first);
    first = end;
  }
}

}  // namespace overlay
