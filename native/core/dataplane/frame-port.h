// An outer port whose trains are handed to TypeScript, which carries them over relays and TCP. Its remote
// endpoints are names that TypeScript gave: IPv6 addresses that lead nowhere else.
#pragma once

#include "event-queue.h"
#include "outer-port.h"
#include "peer-blocks.h"

namespace overlay {

class FramePort final : public OuterPort {
 public:
  FramePort(uint32_t id, EventQueue& events, PeerBlocks& blocks) : OuterPort(id, 6), events_(events), blocks_(blocks) {}

  bool sendsTrains() const override { return true; }
  void send(Train* trains, size_t count, double nowMs) override;
  bool sendOne(const DatagramInfo& info, ByteView bytes) override;

 private:
  void push(PlaneEvent event);

  EventQueue& events_;
  PeerBlocks& blocks_;
};

}  // namespace overlay
