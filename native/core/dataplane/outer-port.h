// What a path leads through: a UDP socket, or a frame port, whose trains go to TypeScript.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

#include "../byte-view.h"
#include "../datagram.h"

namespace overlay {

struct Path;

// Datagrams to one place: all of `segmentBytes` but the last, which may be shorter.
struct Train {
  const Path* path = nullptr;
  uint8_t tos = 0;
  const iovec* parts = nullptr;
  size_t partCount = 0;
  size_t segmentBytes = 0;
  size_t totalBytes = 0;
  size_t count = 0;
  // Of the peer they are for.
  size_t slot = 0;
  // Set by send(): how many of them were taken.
  size_t taken = 0;
};

class OuterPort {
 public:
  // Of one train: what every kernel with the feature takes.
  static constexpr size_t MAX_TRAIN_COUNT = 64;
  static constexpr size_t MAX_TRAIN_BYTES = 65'000;
  // Trains of one call.
  static constexpr size_t MAX_TRAINS = 64;

  virtual ~OuterPort() = default;
  OuterPort(const OuterPort&) = delete;
  OuterPort& operator=(const OuterPort&) = delete;

  uint32_t id() const { return id_; }
  int family() const { return family_; }
  virtual bool sendsTrains() const = 0;
  // Sends at most MAX_TRAINS, in order. By one thread at a time. `nowMs`: boot clock.
  virtual void send(Train* trains, size_t count, double nowMs) = 0;
  // One datagram at once, from any thread.
  virtual bool sendOne(const DatagramInfo& info, ByteView bytes) = 0;

 protected:
  OuterPort(uint32_t id, int family) : id_(id), family_(family) {}

 private:
  const uint32_t id_;
  const int family_;
};

}  // namespace overlay
