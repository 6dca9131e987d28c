// The way out, from the inner interface to the wire, in the order a packet meets it:
//
//   inner port -> header check -> allowed IPs -> ours? -> path? -> usable keypair? -> counters taken | reading turn
//                      |              |            |        |            |
//               malformedPacket  noAllowedIp  routingLoop noPath  staged and handshakeNeeded
//
//   split, checksums, padding -> seal, many at once                                           | in parallel
//   trains of equal messages to one place -> one sendmmsg per socket -> counters and times    | sending turn
//
// Any number of threads run it: one reads while others seal, and what was read first is sent first. With
// one thread the turns cost a comparison each.
#pragma once

#include <array>
#include <deque>
#include <vector>

#include "../boot-clock.h"
#include "inner-port.h"
#include "keepalives.h"
#include "outer-port.h"
#include "plane-state.h"
#include "segmenter.h"
#include "turn.h"
#include "wake-up.h"

namespace overlay {

// What the threads of the way out share.
class Outbound {
 public:
  Outbound(PlaneState& plane, InnerPort& inner) : plane_(plane), inner_(inner), keepalives_(plane, *this) {}

  // Asks for what waits at a peer to be sent; with `isKeepalive`, for an empty message if nothing waits.
  // Asked again before it was done, it is done once. These three hold the plane's lock.
  void ask(Peer& peer, bool isKeepalive);
  // The same where it may be that nothing can be sent: then an empty message waits, or is dropped.
  void askKeepalive(Peer& peer, double nowMs);
  void forgetJobs(const Peer& peer);
  bool hasJobs();
  // A keypair was installed or confirmed.
  void watchKeepalives();
  void stop();

 private:
  friend class OutboundThread;

  bool canSend(const Peer& peer, double nowMs) const;
  // What waits at a peer that cannot send: it goes on waiting, or is dropped.
  void refuse(Peer& peer, bool isKeepalive);

  PlaneState& plane_;
  InnerPort& inner_;
  WakeUp wakeUp_;
  Keepalives keepalives_;
  // Peers with a job.
  std::deque<Peer*> jobs_;
  std::atomic<bool> hasJobs_{false};
  std::atomic<bool> isStopped_{false};
  std::atomic<uint64_t> tickets_{0};
  Turn reading_;
  Turn sending_;
  // The inner port is gone: told once, and read no more. Of the reading turn.
  bool isGone_ = false;
};

// One thread: its memory and its work.
class OutboundThread {
 public:
  // `reader`: of the plane's epochs.
  OutboundThread(Outbound& shared, size_t reader, AeadChoice choice);

  // Returns after stop().
  void run() noexcept;

 private:
  static constexpr size_t RAW_BYTES = 2 * InnerPort::MAX_READ_BYTES;
  static constexpr size_t SEALED_BYTES = 3 << 16;
  static constexpr size_t MAX_PACKETS = 128;
  static constexpr size_t MAX_MESSAGES = 256;

  // An inner packet, or super-packet, that will be sent.
  struct Packet {
    Segmenter segments;
    int version;
    Peer* peer;
    const Keypair* keypair;
    const Path* path;
    uint64_t counter;
  };
  struct Message {
    Peer* peer;
    const Path* path;
    const Keypair* keypair;
    uint8_t* bytes;
    size_t size;
    uint64_t counter;
    uint8_t tos;
    bool isData;
  };

  void readBatch();
  void wait();
  void takeJobs();
  void takeJob(Peer& peer, bool isKeepalive);
  void unstage(Peer& peer, Keypair& keypair, std::vector<uint8_t> packet);
  bool readPackets();
  void handlePacket(const uint8_t* bytes, size_t size, const VirtioHeader& header);
  void take(Peer& peer, const Path& path, Keypair& keypair, const Segmenter& segments, int version);
  Keypair* stageOrFind(Peer& peer, Segmenter segments);

  void finishBatch(uint64_t ticket);
  void writeMessages(Packet& packet, uint64_t ticket);
  void writeMessage(Packet& packet, size_t innerBytes, size_t paddedBytes);
  void flush(uint64_t ticket);
  void groupByPeer();
  void seal();
  void sendTrains();
  void layTrain(size_t first, Train& train);
  void account(const Train& train, size_t first, double nowMs);

  Outbound& shared_;
  PlaneState& plane_;
  const size_t reader_;
  Aead aead_;
  double nowMs_ = 0;
  bool isSendingTurn_ = false;
  std::vector<uint8_t> raw_;
  size_t rawUsed_ = 0;
  std::vector<Packet> packets_;
  // Staged packets on their way: what `packets_` borrows.
  std::vector<std::vector<uint8_t>> unstaged_;
  std::vector<uint8_t> sealed_;
  size_t sealedUsed_ = 0;
  std::vector<Message> messages_;
  std::vector<Message> grouped_;
  std::vector<AeadMessage> toSeal_;
  std::vector<iovec> parts_;
};

}  // namespace overlay
