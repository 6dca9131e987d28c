// One UDP socket of one family, read and written in batches. Carries with each datagram the local
// address (so that answers leave from where the question arrived) and the TOS or traffic class byte.
// Outer packets may be fragmented on their way, as WireGuard has it: DF is clear.
#pragma once

#include <cstdint>

#include "byte-view.h"
#include "result.h"
#include "slab.h"
#include "unique-fd.h"

namespace overlay {

struct UdpOptions {
  // 4 or 6; a v6 socket takes v6 only.
  int family = 4;
  // 0 lets the kernel choose.
  uint16_t port = 0;
  // SO_MARK; 0 for none.
  uint32_t mark = 0;
  // 4 or 16 bytes as `family` says; empty for all addresses.
  ByteView address;
  // Of each queue. As it is, room for about 700 full datagrams while JavaScript is busy.
  int bufferBytes = 1 << 20;
};

class UdpSocket {
 public:
  static Result<UdpSocket> open(const UdpOptions& options);

  int fd() const { return fd_.get(); }
  uint16_t port() const { return port_; }
  Result<void> setMark(uint32_t mark);

  // Datagrams received into slots from 0. One that did not fit its slot has length 0.
  size_t receiveBatch(const Slab& slab, const DatagramHeaders& headers);
  // How many of the slots 0 to `count` the kernel took. `hops`: see DatagramInfo.
  size_t sendBatch(const Slab& slab, const DatagramHeaders& headers, size_t count, uint8_t hops = 0);
  // Takes the error that makes the socket look ready for ever. False if it still does, so that waiting
  // for it again would spin.
  bool takeError();

 private:
  UdpSocket(UniqueFd fd, int family, uint16_t port) : fd_(std::move(fd)), family_(family), port_(port) {}

  UniqueFd fd_;
  int family_;
  uint16_t port_;
};

}  // namespace overlay
