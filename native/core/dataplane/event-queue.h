// What the threads have to tell TypeScript: rare, bounded, one wake-up for any number of events.
//
// INVARIANT: the descriptor is readable from the first event until take(). Control datagrams over the
// bound are the caller's to count; every other kind is bounded by the number of peers and keypairs.
//
// What waits too long shows that nobody runs there; probe() finds that out when nothing waits.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

#include "../byte-view.h"
#include "../datagram.h"
#include "../result.h"
#include "wake-up.h"

namespace overlay {

struct PlaneEvent {
  enum class Kind { datagram, handshakeNeeded, keypairConfirmed, sourceChanged, failed, frames };

  Kind kind = Kind::failed;
  size_t slot = 0;
  uint32_t localIndex = 0;
  // Local indices of keypairs that fell out.
  std::array<uint32_t, 3> removed{};
  size_t removedCount = 0;
  // Of a path: 0 for none.
  uint32_t socket = 0;
  int family = 4;
  Addresses addresses;
  std::vector<uint8_t> bytes;
  // Of frames: bytes of each message but the last, how many, and whether they are no transport data.
  size_t segmentBytes = 0;
  size_t messages = 0;
  bool isControl = false;
  Error error;
};

class EventQueue {
 public:
  // Datagrams that wait for the event loop, and their bytes.
  static constexpr size_t MAX_DATAGRAMS = 1024;
  static constexpr size_t MAX_DATAGRAM_BYTES = 1 << 20;
  // Frames that wait: about 20 ms of what a relay carries.
  static constexpr size_t MAX_FRAME_BYTES = 1 << 20;

  struct DroppedFrames {
    size_t slot;
    size_t messages;
  };

  int fd() const { return wakeUp_.fd(); }

  void push(PlaneEvent event);
  // False if too many wait already.
  bool tryPushDatagram(PlaneEvent event);
  // The oldest frames give way to new ones; gives those.
  std::vector<DroppedFrames> pushFrames(PlaneEvent event);
  // Replaces a waiting one of the same slot: only the newest source counts.
  void pushSource(PlaneEvent event);
  // All that wait, oldest first; none after a probe alone.
  std::vector<PlaneEvent> take();

  // Asks for a take(), events or not. `nowMs`: boot clock.
  void probe(double nowMs);
  // For how long a take() has been due; 0 if none is.
  double overdueMs(double nowMs);

 private:
  void append(PlaneEvent event);
  void ask(double nowMs);

  WakeUp wakeUp_;
  std::mutex mutex_;
  std::vector<PlaneEvent> events_;
  std::deque<PlaneEvent> frames_;
  size_t frameBytes_ = 0;
  // Since when a take() is due; 0 if none is.
  double dueSinceMs_ = 0;
  size_t datagrams_ = 0;
  size_t datagramBytes_ = 0;
};

}  // namespace overlay
