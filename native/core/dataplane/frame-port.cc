#include "frame-port.h"

#include <algorithm>
#include <utility>

#include "path.h"

namespace overlay {

void FramePort::send(Train* trains, size_t count, double /* nowMs */) {
  for (size_t i = 0; i < std::min(count, MAX_TRAINS); i++) {
    Train& train = trains[i];
    PlaneEvent event;
    event.kind = PlaneEvent::Kind::frames;
    event.slot = train.slot;
    event.socket = id();
    event.family = family();
    event.addresses = train.path->addresses;
    event.segmentBytes = train.segmentBytes;
    event.messages = train.count;
    event.bytes.reserve(FRAME_HEADROOM_BYTES + train.totalBytes);
    event.bytes.resize(FRAME_HEADROOM_BYTES);
    for (size_t part = 0; part < train.partCount; part++) {
      const auto* const bytes = static_cast<const uint8_t*>(train.parts[part].iov_base);
      event.bytes.insert(event.bytes.end(), bytes, bytes + train.parts[part].iov_len);
    }
    train.taken = train.count;
    push(std::move(event));
  }
}

bool FramePort::sendOne(const DatagramInfo& info, ByteView bytes) {
  PlaneEvent event;
  event.kind = PlaneEvent::Kind::frames;
  event.slot = blocks_.deviceSlot();
  event.socket = id();
  event.family = family();
  event.addresses = info.addresses;
  event.segmentBytes = bytes.size;
  event.messages = 1;
  event.isControl = true;
  event.bytes.resize(FRAME_HEADROOM_BYTES);
  event.bytes.insert(event.bytes.end(), bytes.data, bytes.data + bytes.size);
  push(std::move(event));
  return true;
}

void FramePort::push(PlaneEvent event) {
  for (const EventQueue::DroppedFrames& dropped : events_.pushFrames(std::move(event))) {
    blocks_.countDrops(dropped.slot, Drop::frameOverflow, dropped.messages);
  }
}

}  // namespace overlay
