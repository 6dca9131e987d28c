#include "own-datagrams.h"

#include <algorithm>
#include <cstring>

namespace overlay {

void OwnDatagrams::note(ByteView datagram) {
  noted_[next_].store(printOf(datagram), std::memory_order_relaxed);
  next_ = (next_ + 1) % NOTED;
}

bool OwnDatagrams::isNoted(ByteView payload) const {
  const uint64_t print = printOf(payload);
  return std::any_of(noted_.begin(), noted_.end(),
                     [print](const auto& other) { return other.load(std::memory_order_relaxed) == print; });
}

// Never 0, which stands for none.
uint64_t OwnDatagrams::printOf(ByteView datagram) {
  uint64_t halves[2] = {};
  std::memcpy(halves, datagram.data, std::min(datagram.size, COMPARED_BYTES));
  // Half of it is a type and a name that many messages share: a multiplication spreads the other half.
  return (halves[0] ^ (halves[1] * 0x9e3779b97f4a7c15)) | 1;
}

}  // namespace overlay
