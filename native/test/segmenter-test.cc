// Splitting super-packets, and what of a header is refused.

#include "../core/dataplane/segmenter.h"

#include "packets.h"
#include "suites.h"

namespace overlay {
namespace {

// A super-packet of `payloadBytes` as a TUN hands it over: the checksum is that of the pseudo-header.
struct SuperPacket {
  VirtioHeader header;
  Bytes packet;

  SuperPacket(int version, uint8_t protocol, size_t payloadBytes, uint16_t segmentBytes) {
    TcpOptions options;
    options.version = version;
    packet = protocol == PROTOCOL_TCP ? tcpPacket(payloadBytes, options) : udpPacket(payloadBytes, options);
    const size_t start = version == 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
    header.flags = VirtioHeader::NEEDS_CHECKSUM;
    header.type = protocol == PROTOCOL_UDP ? VirtioHeader::UDP
                  : version == 4           ? VirtioHeader::TCP_V4
                                           : VirtioHeader::TCP_V6;
    header.segmentBytes = segmentBytes;
    header.checksumStart = static_cast<uint16_t>(start);
    header.checksumOffset = protocol == PROTOCOL_TCP ? 16 : 6;
    header.headerBytes = static_cast<uint16_t>(start + (protocol == PROTOCOL_TCP ? 20 : 8));
  }
  Segmenter segments() const {
    return Segmenter(header, packet.data(), packet.size(), ipVersion(packet.data(), packet.size()));
  }
};

bool hasGoodSum(const Bytes& packet, size_t start) {
  const int version = packet[0] >> 4;
  const uint8_t protocol = version == 4 ? packet[9] : packet[6];
  uint64_t sum =
      addPseudoHeader(0, sourceOf(packet.data(), version), 2 * addressBytes(version), protocol, packet.size() - start);
  sum = addChecksum(sum, &packet[start], packet.size() - start);
  return foldChecksum(sum) == 0xffff;
}

void splitsBothProtocolsAndFamilies() {
  for (const int version : {4, 6}) {
    for (const uint8_t protocol : {PROTOCOL_TCP, PROTOCOL_UDP}) {
      const SuperPacket super(version, protocol, 3'500, 1'400);
      Segmenter segments = super.segments();
      check(segments.isValid() && segments.count() == 3, "three segments");
      const size_t start = super.header.checksumStart;
      size_t payload = 0;
      for (size_t i = 0; i < 3; i++) {
        Bytes segment(segments.nextBytes());
        segments.write(segment.data());
        check(hasGoodSum(segment, start), "a good transport checksum");
        check(ipLength(segment.data(), segment.size(), version) == segment.size(), "its own length");
        if (version == 4) {
          check(foldChecksum(addChecksum(0, segment.data(), IPV4_HEADER_BYTES)) == 0xffff, "a good header checksum");
          check(readUint16(&segment[4]) == 1 + i, "identifications that count up");
        }
        if (protocol == PROTOCOL_TCP) check(readUint32(&segment[start + 4]) == 1000 + 1400 * i, "its own sequence");
        payload += segment.size() - super.header.headerBytes;
      }
      check(segments.isDone() && payload == 3'500, "all of the payload");
    }
  }
}

void keepsFlagsWhereTheyBelong() {
  SuperPacket super(4, PROTOCOL_TCP, 3'000, 1'000);
  constexpr uint8_t FIN_PSH_ACK_CWR = 0x99;
  super.packet[IPV4_HEADER_BYTES + 13] = FIN_PSH_ACK_CWR;
  Segmenter segments = super.segments();
  const uint8_t expected[] = {0x90, 0x10, 0x19};
  for (const uint8_t flags : expected) {
    Bytes segment(segments.nextBytes());
    segments.write(segment.data());
    check(segment[IPV4_HEADER_BYTES + 13] == flags, "CWR on the first, FIN and PSH on the last");
  }
}

void finishesAChecksumAlone() {
  SuperPacket super(6, PROTOCOL_UDP, 100, 0);
  super.header.type = VirtioHeader::NONE;
  // What the kernel leaves there: the sum of the pseudo-header.
  const uint16_t pseudo = foldChecksum(addPseudoHeader(0, sourceOf(super.packet.data(), 6), 32, PROTOCOL_UDP, 108));
  std::memcpy(&super.packet[IPV6_HEADER_BYTES + 6], &pseudo, 2);
  Segmenter segments = super.segments();
  check(segments.isValid() && segments.count() == 1, "one packet");
  Bytes packet(segments.nextBytes());
  segments.write(packet.data());
  check(hasGoodSum(packet, IPV6_HEADER_BYTES), "a good checksum");
}

void refusesWhatCannotBe() {
  const auto isValid = [](auto change) {
    SuperPacket super(4, PROTOCOL_TCP, 3'000, 1'000);
    change(super);
    return super.segments().isValid();
  };
  check(isValid([](SuperPacket&) {}), "the packet itself to be valid");
  check(!isValid([](SuperPacket& s) { s.header.segmentBytes = 0; }), "no segments of nothing");
  check(!isValid([](SuperPacket& s) { s.header.flags = 0; }), "no splitting without a checksum to make");
  check(!isValid([](SuperPacket& s) { s.header.type = 3; }), "no other type");
  check(!isValid([](SuperPacket& s) { s.header.type = VirtioHeader::TCP_V6; }), "no type of the other family");
  check(!isValid([](SuperPacket& s) { s.header.checksumStart = 24; }), "no start beside the transport header");
  check(!isValid([](SuperPacket& s) { s.header.checksumStart = 3'030; }), "no start at the end");
  check(!isValid([](SuperPacket& s) { s.packet[IPV4_HEADER_BYTES + 12] = 0x40; }), "no TCP header below 20 bytes");
  check(!isValid([](SuperPacket& s) { s.packet.resize(30); }), "no header that is cut short");
  check(!isValid([](SuperPacket& s) { s.packet.resize(40); }), "no super-packet without payload");
  check(!isValid([](SuperPacket& s) {
    s.header.type = VirtioHeader::NONE;
    s.header.checksumStart = 60'000;
  }),
        "no checksum beyond the end");
}

}  // namespace

std::vector<Test> segmenterTests() {
  return {
      {"segmenter: splits TCP and UDP of both families", splitsBothProtocolsAndFamilies},
      {"segmenter: keeps flags where they belong", keepsFlagsWhereTheyBelong},
      {"segmenter: finishes the checksum of a single packet", finishesAChecksumAlone},
      {"segmenter: refuses headers that do not fit", refusesWhatCannotBe},
  };
}

}  // namespace overlay
