// Packets one after the other, each with a length before it: merged and split again they are what they
// were, in the order they had between any two addresses.

#include <algorithm>
#include <cstring>

#include "../test/check.h"
#include "../test/recording-sink.h"
#include "target.h"

using namespace overlay;

namespace {

// Two bytes of length and the packet; only what the data plane would pass on.
std::vector<Bytes> readPackets(const uint8_t* bytes, size_t size) {
  std::vector<Bytes> packets;
  for (size_t at = 0; at + 2 <= size && packets.size() < 200;) {
    const size_t length = std::min<size_t>(readUint16(bytes + at), size - at - 2);
    at += 2;
    const int version = ipVersion(bytes + at, length);
    const size_t whole = version == 0 ? 0 : ipLength(bytes + at, length, version);
    if (whole != 0 && !(version == 6 && whole < IPV6_HEADER_BYTES))
      packets.emplace_back(bytes + at, bytes + at + whole);
    at += length;
  }
  return packets;
}

// The identification of what must not be fragmented means nothing, and is not kept.
Bytes normalized(Bytes packet) {
  if (packet[0] >> 4 != 4 || (packet[6] & 0x40) == 0) return packet;
  std::memset(&packet[4], 0, 2);
  std::memset(&packet[10], 0, 2);
  return packet;
}

Bytes addressesOf(const Bytes& packet) {
  const int version = packet[0] >> 4;
  const uint8_t* const source = sourceOf(packet.data(), version);
  return Bytes(source, source + 2 * addressBytes(version));
}

// Between two addresses order holds for what was not merged with its flow; within a flow always. Packets of
// several flows may pass each other, so they are compared by flow.
Bytes flowOf(const Bytes& packet) {
  Bytes flow = addressesOf(packet);
  const int version = packet[0] >> 4;
  const size_t ports = version == 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
  flow.push_back(version == 4 ? packet[9] : packet[6]);
  for (size_t i = 0; i < 4; i++) flow.push_back(ports + i < packet.size() ? packet[ports + i] : 0);
  return flow;
}

std::vector<Bytes> sortedByFlow(const std::vector<Bytes>& packets) {
  std::vector<std::pair<Bytes, Bytes>> keyed;
  for (const Bytes& packet : packets) keyed.emplace_back(flowOf(packet), normalized(packet));
  std::stable_sort(keyed.begin(), keyed.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Bytes> sorted;
  for (auto& [flow, packet] : keyed) sorted.push_back(std::move(packet));
  return sorted;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::vector<Bytes> packets = readPackets(bytes, size);
  RecordingSink sink;
  SpacedPackets spaced(packets);
  Coalescer coalescer(sink, {});
  spaced.addTo(coalescer);
  coalescer.flush();
  check(!sink.hasInvalid, "super-packets that can be split again");
  check(sortedByFlow(sink.packets) == sortedByFlow(packets), "the packets that went in");
  return 0;
}
