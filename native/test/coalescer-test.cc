// Merging: what comes out and is split again is what went in; and what may be merged at all.

#include "../core/dataplane/coalescer.h"

#include "recording-sink.h"
#include "suites.h"

namespace overlay {
namespace {

std::vector<size_t> countsOf(const std::vector<Bytes>& packets, Coalescer::Abilities abilities = {}) {
  RecordingSink sink;
  SpacedPackets spaced(packets);
  Coalescer coalescer(sink, abilities);
  spaced.addTo(coalescer);
  coalescer.flush();
  check(!sink.hasInvalid, "super-packets that can be split again");
  check(sink.packets.size() == packets.size(), "as many packets as went in");
  return sink.counts;
}

// Of one flow, following each other.
std::vector<Bytes> segmentsOf(int version, size_t count, size_t payloadBytes) {
  std::vector<Bytes> packets;
  for (size_t i = 0; i < count; i++) {
    TcpOptions options;
    options.version = version;
    options.sequence = static_cast<uint32_t>(1000 + i * payloadBytes);
    options.identification = static_cast<uint16_t>(7 + i);
    packets.push_back(tcpPacket(payloadBytes, options));
  }
  return packets;
}

using Counts = std::vector<size_t>;

void mergesWhatFollows() {
  for (const int version : {4, 6}) {
    const std::vector<Bytes> packets = segmentsOf(version, 10, 1'380);
    RecordingSink sink;
    SpacedPackets spaced(packets);
    Coalescer coalescer(sink, {});
    spaced.addTo(coalescer);
    check(sink.messages.empty(), "nothing written before the flush");
    coalescer.flush();
    check(sink.counts == Counts{10}, "one super-packet");
    check(sink.packets == packets, "the same packets, bit for bit");
  }
  std::vector<Bytes> datagrams;
  for (uint16_t i = 0; i < 5; i++) {
    TcpOptions options;
    options.identification = i;
    datagrams.push_back(udpPacket(i == 4 ? 10 : 500, options));
  }
  check(countsOf(datagrams) == Counts{5}, "UDP of equal size, the last may be shorter");
}

void keepsWithinLimits() {
  check(countsOf(segmentsOf(4, 70, 100)) == (Counts{64, 6}), "at most 64 packets");
  check(countsOf(segmentsOf(4, 60, 1'400)) == (Counts{46, 14}), "at most 65,535 bytes");
}

void mergesFlowsSideBySide() {
  const std::vector<Bytes> one = segmentsOf(4, 4, 100);
  std::vector<Bytes> packets;
  for (size_t i = 0; i < 4; i++) {
    packets.push_back(one[i]);
    TcpOptions other;
    other.port = 99;
    other.sequence = static_cast<uint32_t>(50 + i * 100);
    other.identification = static_cast<uint16_t>(i);
    packets.push_back(tcpPacket(100, other));
  }
  check(countsOf(packets) == (Counts{4, 4}), "a super-packet for each flow");
}

template <typename Change>
Counts countsWith(Change change) {
  std::vector<Bytes> packets = segmentsOf(4, 2, 100);
  change(packets[1]);
  return countsOf(packets);
}

void rewriteIp(Bytes& packet) { writeIpv4Checksum(packet.data(), IPV4_HEADER_BYTES); }
void rewriteTcp(Bytes& packet) { finishTransport(packet, 4, IPV4_HEADER_BYTES, PROTOCOL_TCP); }

void mergesNothingThatDiffers() {
  const Counts apart{1, 1};
  check(countsWith([](Bytes&) {}) == Counts{2}, "two that belong together");
  check(countsWith([](Bytes& p) { p[1] = 3, rewriteIp(p); }) == apart, "congestion marks to be kept");
  check(countsWith([](Bytes& p) { p[8] = 63, rewriteIp(p); }) == apart, "hop limits to be kept");
  check(countsWith([](Bytes& p) { p[5] = 99, rewriteIp(p); }) == apart, "identifications to be kept");
  check(countsWith([](Bytes& p) { p[6] = 0x20, rewriteIp(p); }) == apart, "fragments to be kept");
  check(countsWith([](Bytes& p) { p[10] ^= 1; }) == apart, "a bad header checksum to be kept");
  check(countsWith([](Bytes& p) { p[24] ^= 1, rewriteTcp(p); }) == apart, "only what follows in sequence");
  check(countsWith([](Bytes& p) { p[31] ^= 1, rewriteTcp(p); }) == apart, "answers to be kept");
  check(countsWith([](Bytes& p) { p[34] ^= 1, rewriteTcp(p); }) == apart, "windows to be kept");
  check(countsWith([](Bytes& p) { p[36] ^= 1; }) == apart, "a bad checksum to be kept");
  check(countsWith([](Bytes& p) { p[38] = 1, rewriteTcp(p); }) == apart, "urgent pointers to be kept");
  for (const int flags : {0x11, 0x12, 0x14, 0x30, 0x50, 0x90, 0x00}) {
    check(countsWith([flags](Bytes& p) { p[33] = static_cast<uint8_t>(flags), rewriteTcp(p); }) == apart,
          "flags to be kept");
  }
  check(countsWith([](Bytes& p) { p[33] = 0x18, rewriteTcp(p); }) == Counts{2}, "a push on the last");
}

void writesAtOnceWhatPushes() {
  std::vector<Bytes> packets = segmentsOf(4, 3, 100);
  packets[0][33] = 0x18;
  rewriteTcp(packets[0]);
  check(countsOf(packets) == (Counts{1, 2}), "a push alone, and the others after it");
}

// A packet that cannot be merged, between the same addresses, must not overtake.
void keepsTheOrderBetweenTwoAddresses() {
  std::vector<Bytes> packets = segmentsOf(4, 3, 100);
  TcpOptions options;
  packets.insert(packets.begin() + 2, ipPacket(4, 1, 30, options));
  RecordingSink sink;
  SpacedPackets spaced(packets);
  Coalescer coalescer(sink, {});
  spaced.addTo(coalescer);
  coalescer.flush();
  check(sink.packets == packets, "the order of arrival");
}

void leavesAloneWhatTheKernelDoesNotTake() {
  check(countsOf(segmentsOf(4, 2, 100), {false, true}) == (Counts{1, 1}), "no TCP");
  check(countsOf({udpPacket(100), udpPacket(100)}, {true, false}) == (Counts{1, 1}), "no UDP");
}

}  // namespace

std::vector<Test> coalescerTests() {
  return {
      {"coalescer: merges what follows, and nothing is lost", mergesWhatFollows},
      {"coalescer: keeps within the limits of a packet", keepsWithinLimits},
      {"coalescer: merges flows side by side", mergesFlowsSideBySide},
      {"coalescer: merges nothing that differs", mergesNothingThatDiffers},
      {"coalescer: writes at once what pushes", writesAtOnceWhatPushes},
      {"coalescer: keeps the order between two addresses", keepsTheOrderBetweenTwoAddresses},
      {"coalescer: leaves alone what the kernel does not take", leavesAloneWhatTheKernelDoesNotTake},
  };
}

}  // namespace overlay
