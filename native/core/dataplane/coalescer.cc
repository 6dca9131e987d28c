#include "coalescer.h"

#include <algorithm>
#include <cstring>

#include "inner-packet.h"
#include "mergeable.h"

namespace overlay {
namespace {

constexpr size_t MAX_PACKET_BYTES = 65'535;
constexpr size_t TCP_CHECKSUM = 16;
constexpr size_t UDP_CHECKSUM = 6;
constexpr size_t UDP_LENGTH = 4;
constexpr size_t TCP_FLAGS = 13;
constexpr uint8_t PSH = 0x08;

}  // namespace

void Coalescer::add(uint8_t* packet, size_t size, int version, uint32_t tag) {
  Mergeable candidate;
  if (!readMergeable(packet, size, version, candidate) || !isMerging(candidate.protocol)) {
    if (flowCount_ > 0) finishBetween(packet, version);
    writeAlone(packet, size, tag);
    return;
  }
  Flow* const flow = find(candidate);
  if (flow == nullptr) {
    begin(candidate, tag);
    return;
  }
  bool isLast = false;
  if (flow->tag == tag && append(*flow, candidate, isLast)) {
    if (isLast) finish(*flow);
    return;
  }
  finish(*flow);
  begin(candidate, tag);
}

bool Coalescer::isMerging(uint8_t protocol) const { return protocol == PROTOCOL_TCP ? abilities_.tcp : abilities_.udp; }

void Coalescer::flush() {
  while (flowCount_ > 0) {
    // The oldest first: flows leave in the order in which they came.
    finish(*std::min_element(flows_.begin(), flows_.begin() + static_cast<ptrdiff_t>(flowCount_),
                             [](const Flow& a, const Flow& b) { return a.begin < b.begin; }));
  }
}

Coalescer::Flow* Coalescer::find(const Mergeable& candidate) {
  for (size_t i = 0; i < flowCount_; i++) {
    if (isSameFlow(candidate, flows_[i].packet, flows_[i].version, flows_[i].protocol)) return &flows_[i];
  }
  return nullptr;
}

// True if merged. `isLast`: nothing may follow it.
bool Coalescer::append(Flow& flow, const Mergeable& candidate, bool& isLast) {
  const size_t payload = candidate.payloadBytes();
  if (candidate.headerBytes != flow.headerBytes || payload > flow.segmentBytes) return false;
  if (flow.partCount == MAX_PARTS || flow.totalBytes + payload > MAX_PACKET_BYTES) return false;
  if (candidate.protocol == PROTOCOL_TCP && tcpSequence(candidate) != flow.nextSequence) return false;
  if (!isContinuedBy(flow.packet, candidate, flow.partCount)) return false;
  if (!flow.isVerified) {
    const Mergeable first{flow.packet,   flow.totalBytes,      flow.version,
                          flow.protocol, flow.transportOffset, flow.headerBytes};
    if (!hasGoodChecksum(first)) return false;
    flow.isVerified = true;
  }
  if (!hasGoodChecksum(candidate)) return false;
  flow.parts[flow.partCount++] = {candidate.packet + candidate.headerBytes, payload};
  flow.totalBytes += payload;
  flow.nextSequence += static_cast<uint32_t>(payload);
  isLast = payload < flow.segmentBytes;
  if (candidate.protocol == PROTOCOL_TCP && hasPush(candidate)) {
    flow.packet[flow.transportOffset + TCP_FLAGS] |= PSH;
    isLast = true;
  }
  return true;
}

void Coalescer::begin(const Mergeable& candidate, uint32_t tag) {
  // What pushes is on its way already: nothing may follow it in a super-packet.
  if (candidate.protocol == PROTOCOL_TCP && hasPush(candidate)) {
    writeAlone(candidate.packet, candidate.size, tag);
    return;
  }
  if (flowCount_ == MAX_FLOWS) {
    finish(*std::min_element(flows_.begin(), flows_.end(),
                             [](const Flow& a, const Flow& b) { return a.begin < b.begin; }));
  }
  Flow& flow = flows_[flowCount_++];
  flow.packet = candidate.packet;
  flow.version = candidate.version;
  flow.protocol = candidate.protocol;
  flow.transportOffset = candidate.transportOffset;
  flow.headerBytes = candidate.headerBytes;
  flow.segmentBytes = candidate.payloadBytes();
  flow.totalBytes = candidate.size;
  flow.nextSequence =
      candidate.protocol == PROTOCOL_TCP ? tcpSequence(candidate) + static_cast<uint32_t>(candidate.payloadBytes()) : 0;
  flow.tag = tag;
  flow.isVerified = false;
  flow.begin = begun_++;
  flow.partCount = 1;
}

// Writes a flow's packets and frees its place.
void Coalescer::finish(Flow& flow) {
  if (flow.partCount == 1) {
    writeAlone(flow.packet, flow.totalBytes, flow.tag);
  } else {
    finishHeaders(flow);
    sink_.write(flow.parts.data(), flow.partCount, flow.partCount, flow.tag);
  }
  const Flow& last = flows_[--flowCount_];
  if (&flow != &last) flow = last;
}

// The headers of the whole, and before them what the kernel needs to take it apart again.
void Coalescer::finishHeaders(Flow& flow) {
  const bool isTcp = flow.protocol == PROTOCOL_TCP;
  const size_t transportBytes = flow.totalBytes - flow.transportOffset;
  uint8_t* const ip = flow.packet;
  uint8_t* const transport = ip + flow.transportOffset;
  if (flow.version == 4) {
    writeUint16(ip + 2, flow.totalBytes);
    writeIpv4Checksum(ip, flow.transportOffset);
  } else {
    writeUint16(ip + 4, flow.totalBytes - IPV6_HEADER_BYTES);
  }
  if (!isTcp) writeUint16(transport + UDP_LENGTH, transportBytes);
  const size_t field = isTcp ? TCP_CHECKSUM : UDP_CHECKSUM;
  const uint16_t pseudo = foldChecksum(
      addPseudoHeader(0, sourceOf(ip, flow.version), 2 * addressBytes(flow.version), flow.protocol, transportBytes));
  std::memcpy(transport + field, &pseudo, sizeof(pseudo));

  VirtioHeader header;
  header.flags = VirtioHeader::NEEDS_CHECKSUM;
  header.type = !isTcp ? VirtioHeader::UDP : flow.version == 4 ? VirtioHeader::TCP_V4 : VirtioHeader::TCP_V6;
  header.headerBytes = static_cast<uint16_t>(flow.headerBytes);
  header.segmentBytes = static_cast<uint16_t>(flow.segmentBytes);
  header.checksumStart = static_cast<uint16_t>(flow.transportOffset);
  header.checksumOffset = static_cast<uint16_t>(field);
  std::memcpy(ip - VIRTIO_HEADER_BYTES, &header, sizeof(header));
  flow.parts[0] = {ip - VIRTIO_HEADER_BYTES, VIRTIO_HEADER_BYTES + flow.headerBytes + flow.segmentBytes};
}

// Finishes all flows between the addresses of a packet that cannot be merged, so that it overtakes none.
void Coalescer::finishBetween(const uint8_t* packet, int version) {
  for (size_t i = flowCount_; i-- > 0;) {
    Flow& flow = flows_[i];
    if (flow.version != version) continue;
    const size_t bytes = 2 * addressBytes(version);
    if (std::memcmp(sourceOf(flow.packet, version), sourceOf(packet, version), bytes) == 0) finish(flow);
  }
}

void Coalescer::writeAlone(uint8_t* packet, size_t size, uint32_t tag) {
  std::memset(packet - VIRTIO_HEADER_BYTES, 0, VIRTIO_HEADER_BYTES);
  const iovec part{packet - VIRTIO_HEADER_BYTES, VIRTIO_HEADER_BYTES + size};
  sink_.write(&part, 1, 1, tag);
}

}  // namespace overlay
