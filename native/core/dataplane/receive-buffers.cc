#include "receive-buffers.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>

namespace overlay {
namespace {

constexpr size_t SPARE_BYTES = 16;
// From this size on a message is a train worth a call of its own.
constexpr size_t LARGE_BYTES = 16'384;
constexpr size_t FEW = 2;

}  // namespace

ReceiveBuffers::ReceiveBuffers() {
  void* const memory =
      ::mmap(nullptr, SLOTS * SLOT_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) std::abort();  // as every failed allocation without exceptions
  memory_ = static_cast<uint8_t*>(memory);
  for (size_t i = 0; i < SLOTS; i++) {
    parts_[i] = {memory_ + i * SLOT_BYTES + SPARE_BYTES, SLOT_BYTES - SPARE_BYTES};
    messages_[i] = {};
    messages_[i].msg_hdr.msg_iov = &parts_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
  }
}

ReceiveBuffers::~ReceiveBuffers() { ::munmap(memory_, SLOTS * SLOT_BYTES); }

int ReceiveBuffers::receiveFrom(int fd) {
  asked_ = wanted_;
  for (size_t i = 0; i < wanted_; i++) prepareReceive(messages_[i].msg_hdr, envelopes_[i]);
  const int count = ::recvmmsg(fd, messages_.data(), static_cast<unsigned>(wanted_), MSG_DONTWAIT, nullptr);
  if (count <= 0) return count;
  size_t largest = 0;
  for (size_t i = 0; i < static_cast<size_t>(count); i++) {
    const bool isWhole = (messages_[i].msg_hdr.msg_flags & MSG_TRUNC) == 0;
    Received& one = received_[i];
    one.bytes = static_cast<uint8_t*>(parts_[i].iov_base);
    one.size = isWhole ? messages_[i].msg_len : 0;
    one.info = decodeInfo(messages_[i].msg_hdr);
    largest = std::max(largest, one.size);
  }
  wanted_ = largest >= LARGE_BYTES ? FEW : std::min(SLOTS, 2 * wanted_);
  return count;
}

}  // namespace overlay
