// The way in, from the wire to the inner interface, in the order a datagram meets it:
//
//   outer socket -> one recvmmsg                                                              | reading turn
//
//   transport? -> index -> limits -> open, many at once                                       | in parallel
//       |           |         |
//    datagram    unknown-  keypair-
//     event      Receiver   Expired
//
//   authentic? -> replay -> commit: counters, times, path, next -> current -> keepalive? done | finishing turn
//       |            |                                                            |
//   authentication-  replayed                       header check -> allowed IPs hold the source? -> ECN
//   Failed                                               |                      |
//                                                 malformedPacket       sourceNotAllowed
//   inner port <- merged with its neighbours
//
// INVARIANT: before "commit" nothing has changed but one drop counter. A packet is opened where the socket
// has put it, and written from there. Any number of threads run it: what was received first is finished
// first.
#pragma once

#include <deque>
#include <memory>
#include <mutex>

#include "../boot-clock.h"
#include "coalescer.h"
#include "inner-port.h"
#include "outbound.h"
#include "outer-socket.h"
#include "plane-state.h"
#include "turn.h"
#include "wake-up.h"

namespace overlay {

// What the threads of the way in share.
class Inbound {
 public:
  Inbound(PlaneState& plane, InnerPort& inner, Outbound& outbound);
  ~Inbound();
  Inbound(const Inbound&) = delete;
  Inbound& operator=(const Inbound&) = delete;

  // Datagrams of the socket are taken from now on. One caller at a time.
  Result<void> watch(OuterSocket& socket);
  // No thread touches it any more when the plane's epochs have been synchronized.
  void unwatch(const OuterSocket& socket);
  bool isWatched(const OuterPort& port) const;
  void stop();

 private:
  friend class InboundThread;

  struct Sockets : Retirable {
    std::vector<OuterSocket*> all;
  };
  struct Ready {
    // Of a socket.
    uint32_t id;
    bool hasError;
  };

  void publish(std::unique_ptr<Sockets> sockets);

  PlaneState& plane_;
  InnerPort& inner_;
  Outbound& outbound_;
  UniqueFd epoll_;
  WakeUp wakeUp_;
  std::atomic<const Sockets*> sockets_;
  std::atomic<bool> isStopped_{false};
  std::atomic<uint64_t> tickets_{0};
  Turn reading_;
  Turn finishing_;
  // Held while a batch is finished: datagrams of frame ports come by no turn.
  std::mutex finishLock_;
  // Sockets that may have datagrams. Of the reading turn.
  std::deque<Ready> ready_;
  size_t batchesSinceWait_ = 0;
};

// One thread: its memory and its work.
class InboundThread final : PacketSink {
 public:
  // `reader`: of the plane's epochs.
  InboundThread(Inbound& shared, size_t reader, AeadChoice choice);

  // Returns after stop().
  void run() noexcept;
  // Instead of run(): datagrams that came by a frame port, opened where they are.
  void deliver(OuterPort& port, const Received& received);

 private:
  // A transport message on its way: what was received, and what may be opened of it.
  struct Message {
    const Received* received;
    Keypair* keypair;
    size_t size;
  };
  // What is not transport data.
  struct Control {
    const Received* received;
    const uint8_t* bytes;
    size_t size;
  };

  void receiveBatch();
  void receiveFrom(const Inbound::Ready& ready);
  void wait(bool isPatient);
  void sortDatagrams();
  void sortTrain(const Received& received);
  void sortDatagram(const Received& received, uint8_t* bytes, size_t size);
  void open();

  void finishBatch(uint64_t ticket);
  void finishMessages();
  void raise(const Control& control);
  void finishMessage(const Message& message, const AeadMessage& opened);
  void commit(const Message& message);
  void commitCounts();
  void learnPath(Peer& peer, const Keypair& keypair, const DatagramInfo& info);
  void confirm(Peer& peer, Keypair& keypair);
  void handlePacket(Peer& peer, uint8_t* packet, size_t size, uint8_t tos);
  bool isAllowedSource(const Peer& peer, int version, const uint8_t* source);
  void write(const iovec* parts, size_t partCount, size_t packets, uint32_t tag) override;

  Inbound& shared_;
  PlaneState& plane_;
  const size_t reader_;
  Aead aead_;
  ReceiveBuffers buffers_;
  Coalescer coalescer_;
  double nowMs_ = 0;
  OuterPort* port_ = nullptr;
  size_t received_ = 0;
  std::vector<Message> messages_;
  std::vector<AeadMessage> toOpen_;
  std::vector<Control> control_;
  // Counts of one peer that are not in its block yet.
  struct Counts {
    const Peer* peer = nullptr;
    size_t bytes = 0;
    size_t messages = 0;
    bool hasData = false;
  };
  Counts counts_;
  // The last source that was looked up, and whose it is.
  struct KnownSource {
    const Peer* peer = nullptr;
    int version = 0;
    uint8_t address[16] = {};
  };
  KnownSource known_;
};

}  // namespace overlay
