// The data plane: the calls that come down from TypeScript, and the life of the threads that carry
// packets. The contract is src/dataplane/contract.ts; its readable twin is src/dataplane/portable.
//
// All calls come from one thread. None of them waits for packets but closeSocket, addPeer and stop, which
// wait for the batch that is being carried.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <thread>

#include "frame-port.h"
#include "inbound.h"
#include "outbound.h"

namespace overlay {

struct DataPlaneOptions {
  // The TUN, or a socket with one packet per message. Stays the caller's.
  int innerFd = -1;
  // Whether a socket's packets have virtio headers.
  bool hasHeaders = false;
  Offloads offloads = Offloads::all();
  AeadChoice aead{};
  // Threads for each direction, at least 1.
  size_t threads = 1;
  uint32_t mtu = 0;
  PeerBlocks blocks;
};

struct AllowedIp {
  // Instead of a slot: the prefix belongs to no peer any more.
  static constexpr uint32_t NOBODY = UINT32_MAX;

  int version = 4;
  const uint8_t* address = nullptr;
  unsigned bits = 0;
  uint32_t slot = 0;
};

// What carries packets.
struct PlaneDescription {
  const char* aead = "";
  size_t threads = 0;
  // Those of the sockets as the last one opened has them.
  Offloads offloads;
};

class DataPlane {
 public:
  static Result<std::unique_ptr<DataPlane>> create(const DataPlaneOptions& options);
  ~DataPlane();
  DataPlane(const DataPlane&) = delete;
  DataPlane& operator=(const DataPlane&) = delete;

  PlaneDescription describe() const;

  struct OpenedSocket {
    uint32_t id;
    uint16_t port;
  };
  Result<OpenedSocket> openSocket(UdpOptions options);
  // A port whose trains become events, and that receives what deliver() is given.
  uint32_t openFramePort();
  void closeSocket(uint32_t id);
  // Datagrams that came by a frame port, all of `segmentBytes` but the last; opened where they are.
  void deliver(uint32_t port, const Addresses& addresses, uint8_t* bytes, size_t size, size_t segmentBytes);
  Result<void> setMark(uint32_t mark);
  void setMtu(uint32_t mtu) { plane_.mtu.store(mtu); }

  bool hasPeer(size_t slot) const;
  // The slot is free.
  void addPeer(size_t slot);
  // These need a peer in the slot. Local indices are of keypairs that fell out.
  std::vector<uint32_t> removePeer(size_t slot);
  // All at once, as packets see it.
  void changeAllowedIps(const std::vector<AllowedIp>& changes);
  // A socket that is not open leaves the peer without a path.
  void setPath(size_t slot, uint32_t socket, const Addresses& addresses);
  void clearPath(size_t slot);
  std::vector<uint32_t> installKeypair(size_t slot, const KeypairMaterial& material);
  std::vector<uint32_t> removeKeypairs(size_t slot);
  void sendKeepalive(size_t slot);
  // Of persistent keepalives, 0 for none: TypeScript sends them, the data plane only when that is stalled.
  void setKeepaliveInterval(size_t slot, double intervalMs);
  void dropStaged(size_t slot);
  // False: messages from elsewhere do not move the peer.
  void setRoaming(size_t slot, bool isRoaming);
  bool sendDatagram(uint32_t socket, const DatagramInfo& info, ByteView bytes);

  // Readable while events wait.
  int eventFd() const { return plane_.events.fd(); }
  std::vector<PlaneEvent> takeEvents() { return plane_.events.take(); }
  // Whether everything that has come in was dealt with.
  bool isIdle();

  // Ends the threads and closes the sockets; wipes all keys. Idempotent.
  void stop();

 private:
  DataPlane(const DataPlaneOptions& options, std::unique_ptr<InnerPort> inner);

  void startThreads(size_t count, AeadChoice aead);
  bool hasInput() const;
  Peer& peerIn(size_t slot) { return *plane_.peers[slot].load(); }

  const Offloads wanted_;
  // Name of the AEAD's kernel.
  const char* const aead_;
  std::unique_ptr<InnerPort> inner_;
  PlaneState plane_;
  Outbound outbound_;
  Inbound inbound_;
  std::vector<std::thread> threads_;
  OuterPort* findPort(uint32_t id);
  void forgetPaths(const OuterPort& port);
  void forgetPort(const OuterSocket& closing);

  std::map<uint32_t, std::unique_ptr<OuterSocket>> sockets_;
  std::map<uint32_t, std::unique_ptr<FramePort>> framePorts_;
  // Opens what frame ports bring, on the caller's thread.
  std::unique_ptr<InboundThread> frames_;
  uint32_t lastSocket_ = 0;
  // For sockets that are opened without one.
  uint32_t mark_ = 0;
  bool isStopped_ = false;
};

}  // namespace overlay
