// What both directions of the data plane share: peers, live keypairs, the allowed IPs, and the events and
// counters they leave behind.
//
// Packets read it inside an epoch and without a lock. Everything that changes it holds `lock`: calls from
// TypeScript, and the rare moments when a packet stages, confirms or moves a peer.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <vector>

#include "allowed-ips.h"
#include "epochs.h"
#include "event-queue.h"
#include "index-table.h"
#include "own-datagrams.h"
#include "peer-blocks.h"
#include "peer.h"

namespace overlay {

class PlaneState {
 public:
  PlaneState(PeerBlocks itsBlocks, uint32_t itsMtu);
  ~PlaneState();
  PlaneState(const PlaneState&) = delete;
  PlaneState& operator=(const PlaneState&) = delete;

  PeerBlocks blocks;
  Epochs epochs;
  EventQueue events;
  IndexTable indices;
  OwnDatagrams ownDatagrams;
  // By slot; nullptr where none is.
  std::vector<std::atomic<Peer*>> peers;
  std::atomic<uint32_t> mtu;
  std::mutex lock;

  // The peer whose allowed IPs hold the address, or nullptr. Inside an epoch.
  Peer* routeTo(int version, const uint8_t* address) const {
    const int32_t slot = allowedIps_.load()->lookup(version, address);
    if (slot < 0) return nullptr;
    Peer* const peer = peers[static_cast<size_t>(slot)].load();
    return peer != nullptr && peer->isRouted.load(std::memory_order_relaxed) ? peer : nullptr;
  }

  // Whether an inner packet is an outer datagram of ours. Inside an epoch.
  bool isOwnDatagram(const uint8_t* packet, size_t size, int version) const {
    const ByteView payload = ownDatagrams.payloadFromOwnPort(packet, size, version);
    return payload.size > 0 && isOwnPayload(payload);
  }

  void raiseHandshake(Peer& peer);

  // The following hold `lock`.
  bool isPresent(const Peer& peer) const { return peers[peer.slot].load() == &peer; }
  // The table to be set next; for one thread, which needs no lock.
  std::unique_ptr<AllowedIps> nextAllowedIps() { return allowedIps_.load()->successor(); }
  void setAllowedIps(std::unique_ptr<AllowedIps> table, const std::vector<uint32_t>& slots);
  void setPath(Peer& peer, std::unique_ptr<const Path> path);
  // Takes keypairs out of sight; gives their local indices.
  std::vector<uint32_t> forget(const Fallen& fallen);
  void stage(Peer& peer, std::vector<uint8_t> packet);
  // The next packet that waits may ask for a handshake again.
  void dropStaged(Peer& peer, Drop reason);

 private:
  bool isOwnPayload(ByteView payload) const;

  std::atomic<AllowedIps*> allowedIps_;
};

}  // namespace overlay
