// One UDP socket of the data plane: sends trains of equal datagrams with one call where the kernel can
// (UDP_SEGMENT), and receives them joined (UDP_GRO).
//
// Sending is done by one thread at a time but for sendOne(), receiving by one thread at a time.
#pragma once

#include <memory>

#include "../datagram.h"
#include "../udp-socket.h"
#include "offloads.h"
#include "outer-port.h"
#include "path.h"
#include "receive-buffers.h"

namespace overlay {

class OuterSocket final : public OuterPort {
 public:
  static Result<std::unique_ptr<OuterSocket>> open(uint32_t id, const UdpOptions& options, const Offloads& offloads);

  int fd() const { return socket_.fd(); }
  uint16_t port() const { return socket_.port(); }
  bool receivesTrains() const { return receivesTrains_; }
  bool sendsTrains() const override { return sendsTrains_.load(std::memory_order_relaxed); }
  Result<void> setMark(uint32_t mark) { return socket_.setMark(mark); }

  // How many were received, 0 if none waits.
  size_t receive(ReceiveBuffers& buffers);
  // Waits a little while the socket is full: the inner interface queues meanwhile.
  void send(Train* trains, size_t count, double nowMs) override;
  bool sendOne(const DatagramInfo& info, ByteView bytes) override;
  // Takes the error that makes the socket look ready for ever.
  void takeError() { socket_.takeError(); }

 private:
  OuterSocket(uint32_t id, UdpSocket socket, int family, bool sendsTrains, bool receivesTrains)
      : OuterPort(id, family), socket_(std::move(socket)), receivesTrains_(receivesTrains), sendsTrains_(sendsTrains) {}

  bool sendTrain(Train& train, double nowMs);
  bool sendMessage(const iovec* parts, size_t partCount, const DatagramInfo& info);
  void sendSingly(Train& train);
  bool waitForRoom();

  UdpSocket socket_;
  const bool receivesTrains_;
  std::atomic<bool> sendsTrains_;
};

}  // namespace overlay
