// A virtio header and a packet, as a TUN might hand them over: every segment fits its place, and none of
// the payload is lost.

#include <cstring>
#include <vector>

#include "../core/dataplane/inner-packet.h"
#include "../core/dataplane/segmenter.h"
#include "../test/check.h"
#include "target.h"

using namespace overlay;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  if (size < VIRTIO_HEADER_BYTES) return 0;
  VirtioHeader header;
  std::memcpy(&header, bytes, sizeof(header));
  const uint8_t* const packet = bytes + VIRTIO_HEADER_BYTES;
  const int version = ipVersion(packet, size - VIRTIO_HEADER_BYTES);
  const size_t length = version == 0 ? 0 : ipLength(packet, size - VIRTIO_HEADER_BYTES, version);
  if (length == 0) return 0;
  Segmenter segments(header, packet, length, version);
  if (!segments.isValid()) return 0;
  check(segments.count() > 0 && segments.count() <= length, "some segments, none without payload");
  size_t written = 0;
  size_t first = 0;
  for (size_t i = 0; !segments.isDone(); i++) {
    std::vector<uint8_t> segment(segments.nextBytes());
    if (i == 0) first = segment.size();
    check(!segment.empty() && segment.size() <= first, "segments of one size, the last perhaps shorter");
    segments.write(segment.data());
    written += segment.size();
  }
  // Each segment but the first repeats the headers.
  const size_t repeated = written - length;
  check(segments.count() == 1 ? repeated == 0 : repeated % (segments.count() - 1) == 0, "all of the packet");
  return 0;
}
