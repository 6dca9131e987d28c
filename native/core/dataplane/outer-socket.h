// One UDP socket of the data plane: sends trains of equal datagrams with one call where the kernel can
// (UDP_SEGMENT), and receives them joined (UDP_GRO).
//
// Sending is done by one thread at a time but for sendOne(), receiving by one thread at a time.
#pragma once

#include <memory>

#include "../datagram.h"
#include "../udp-socket.h"
#include "offloads.h"
#include "path.h"
#include "receive-buffers.h"

namespace overlay {

// Datagrams to one place: all of `segmentBytes` but the last, which may be shorter.
struct Train {
  const Path* path = nullptr;
  uint8_t tos = 0;
  const iovec* parts = nullptr;
  size_t partCount = 0;
  size_t segmentBytes = 0;
  size_t totalBytes = 0;
  size_t count = 0;
  // Set by send(): how many of them the kernel took.
  size_t taken = 0;
};

class OuterSocket {
 public:
  // Of one train: what every kernel with the feature takes.
  static constexpr size_t MAX_TRAIN_COUNT = 64;
  static constexpr size_t MAX_TRAIN_BYTES = 65'000;
  // Trains of one call.
  static constexpr size_t MAX_TRAINS = 64;

  static Result<std::unique_ptr<OuterSocket>> open(uint32_t id, const UdpOptions& options, const Offloads& offloads);

  uint32_t id() const { return id_; }
  int family() const { return family_; }
  int fd() const { return socket_.fd(); }
  uint16_t port() const { return socket_.port(); }
  bool receivesTrains() const { return receivesTrains_; }
  bool sendsTrains() const { return sendsTrains_.load(std::memory_order_relaxed); }
  Result<void> setMark(uint32_t mark) { return socket_.setMark(mark); }

  // How many were received, 0 if none waits.
  size_t receive(ReceiveBuffers& buffers);
  // Sends at most MAX_TRAINS, in order. Waits a little while the socket is full: the inner interface
  // queues meanwhile. `nowMs`: boot clock.
  void send(Train* trains, size_t count, double nowMs);
  // One datagram at once, from any thread.
  bool sendOne(const DatagramInfo& info, ByteView bytes);
  // Takes the error that makes the socket look ready for ever.
  void takeError() { socket_.takeError(); }

 private:
  OuterSocket(uint32_t id, UdpSocket socket, int family, bool sendsTrains, bool receivesTrains)
      : id_(id),
        socket_(std::move(socket)),
        family_(family),
        receivesTrains_(receivesTrains),
        sendsTrains_(sendsTrains) {}

  bool sendTrain(Train& train, double nowMs);
  bool sendMessage(const iovec* parts, size_t partCount, const DatagramInfo& info);
  void sendSingly(Train& train);
  bool waitForRoom();

  const uint32_t id_;
  UdpSocket socket_;
  const int family_;
  const bool receivesTrains_;
  std::atomic<bool> sendsTrains_;
};

}  // namespace overlay
