// Where the datagrams of one recvmmsg go: slots of the largest size a train can have, in memory that is
// only committed where it was used.
//
// A slot begins with 16 spare bytes, because an opened packet is written to the TUN with a header before it.
#pragma once

#include <sys/socket.h>

#include <array>
#include <memory>

#include "../datagram.h"

namespace overlay {

struct Received {
  uint8_t* bytes = nullptr;
  size_t size = 0;
  DatagramInfo info;

  // Bytes of each datagram in it but the last.
  size_t segmentBytes() const { return info.segmentBytes != 0 ? info.segmentBytes : size; }
};

class ReceiveBuffers {
 public:
  static constexpr size_t SLOTS = 64;

  ReceiveBuffers();
  ~ReceiveBuffers();
  ReceiveBuffers(const ReceiveBuffers&) = delete;
  ReceiveBuffers& operator=(const ReceiveBuffers&) = delete;

  // Gives how many were received, or -1 and errno.
  int receiveFrom(int fd);
  // Whether `count` was all that the last call asked for: more may wait.
  bool isFull(size_t count) const { return count == asked_; }
  const Received& at(size_t i) const { return received_[i]; }

 private:
  static constexpr size_t SLOT_BYTES = 65'536 + 64;

  // How many messages the next call asks for: many small ones, few large ones, so that what is worked on
  // fits the cache and nothing waits long.
  size_t wanted_ = SLOTS;
  size_t asked_ = 0;
  uint8_t* memory_ = nullptr;
  std::array<Received, SLOTS> received_;
  std::array<Envelope, SLOTS> envelopes_;
  std::array<iovec, SLOTS> parts_;
  std::array<mmsghdr, SLOTS> messages_;
};

}  // namespace overlay
