// Merges consecutive TCP and UDP packets of a flow into super-packets, so that the kernel takes a train
// with one call. Nothing is copied: a super-packet is a list of parts, the first with the headers.
//
// What comes out and is split again by the kernel is what went in, bit for bit: packets merge only if
// headers are equal but for what segmentation restores, and only after their checksums were verified,
// because the kernel does not look again. A packet that does not fit ends its flow's train; packets
// between the same two addresses keep their order.
//
// INVARIANT: what add() was given stays in place until flush(); 10 bytes before each packet are ours.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstdint>

#include "virtio-header.h"

namespace overlay {

// Where finished packets go. `parts`: the first begins with the virtio header. `packets`: how many were
// merged, all with the same `tag`.
class PacketSink {
 public:
  virtual void write(const iovec* parts, size_t partCount, size_t packets, uint32_t tag) = 0;

 protected:
  ~PacketSink() = default;
};

// What decides whether a packet may be merged, read once.
struct Mergeable;

class Coalescer {
 public:
  // What the kernel takes as super-packets.
  struct Abilities {
    bool tcp = true;
    bool udp = true;
  };

  Coalescer(PacketSink& sink, Abilities abilities) : sink_(sink), abilities_(abilities) {}

  // `packet`: of `size` bytes, as its IP header says. `tag`: comes back with the write.
  void add(uint8_t* packet, size_t size, int version, uint32_t tag);
  // Writes all that waits.
  void flush();

 private:
  // Parts of one super-packet. 64 is what older kernels merge as well.
  static constexpr size_t MAX_PARTS = 64;
  static constexpr size_t MAX_FLOWS = 8;

  struct Flow {
    uint8_t* packet = nullptr;
    int version = 4;
    uint8_t protocol = 0;
    size_t transportOffset = 0;
    size_t headerBytes = 0;
    size_t segmentBytes = 0;
    size_t totalBytes = 0;
    uint32_t nextSequence = 0;
    uint32_t tag = 0;
    bool isVerified = false;
    // Age: the order in which flows began.
    uint64_t begin = 0;
    size_t partCount = 0;
    std::array<iovec, MAX_PARTS> parts;
  };

  bool isMerging(uint8_t protocol) const;
  Flow* find(const Mergeable& candidate);
  bool append(Flow& flow, const Mergeable& candidate, bool& isLast);
  void begin(const Mergeable& candidate, uint32_t tag);
  void finish(Flow& flow);
  void finishHeaders(Flow& flow);
  void finishBetween(const uint8_t* packet, int version);
  void writeAlone(uint8_t* packet, size_t size, uint32_t tag);

  PacketSink& sink_;
  Abilities abilities_;
  std::array<Flow, MAX_FLOWS> flows_;
  size_t flowCount_ = 0;
  uint64_t begun_ = 0;
};

}  // namespace overlay
