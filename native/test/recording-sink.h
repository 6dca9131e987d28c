// What a coalescer has written, taken apart again as the kernel would.
#pragma once

#include "../core/dataplane/coalescer.h"
#include "../core/dataplane/segmenter.h"
#include "packets.h"

namespace overlay {

class RecordingSink final : public PacketSink {
 public:
  // Messages with their headers, and how many packets each stands for.
  std::vector<Bytes> messages;
  std::vector<size_t> counts;
  // Everything, packet by packet.
  std::vector<Bytes> packets;
  // What was written could not be taken apart.
  bool hasInvalid = false;

  void write(const iovec* parts, size_t partCount, size_t count, uint32_t /* tag */) override {
    Bytes message;
    for (size_t i = 0; i < partCount; i++) {
      const auto* const bytes = static_cast<const uint8_t*>(parts[i].iov_base);
      message.insert(message.end(), bytes, bytes + parts[i].iov_len);
    }
    VirtioHeader header;
    std::memcpy(&header, message.data(), sizeof(header));
    const uint8_t* const packet = message.data() + VIRTIO_HEADER_BYTES;
    const size_t size = message.size() - VIRTIO_HEADER_BYTES;
    Segmenter segments(header, packet, size, ipVersion(packet, size));
    hasInvalid = hasInvalid || !segments.isValid() || segments.count() != count;
    while (segments.isValid() && !segments.isDone()) {
      packets.emplace_back(segments.nextBytes());
      segments.write(packets.back().data());
    }
    messages.push_back(std::move(message));
    counts.push_back(count);
  }
};

// Packets with the room before them that a coalescer writes its headers to.
class SpacedPackets {
 public:
  static constexpr size_t SPARE_BYTES = 16;

  explicit SpacedPackets(const std::vector<Bytes>& packets) {
    for (const Bytes& packet : packets) {
      Bytes spaced(SPARE_BYTES);
      spaced.insert(spaced.end(), packet.begin(), packet.end());
      spaced_.push_back(std::move(spaced));
    }
  }
  void addTo(Coalescer& coalescer) {
    for (Bytes& spaced : spaced_) {
      uint8_t* const packet = spaced.data() + SPARE_BYTES;
      const size_t size = spaced.size() - SPARE_BYTES;
      coalescer.add(packet, size, ipVersion(packet, size), 0);
    }
  }

 private:
  std::vector<Bytes> spaced_;
};

}  // namespace overlay
