// Where inner packets come from and go to: a TUN, or a socket that carries one packet per message. With
// offloads each packet has a virtio header before it and may be a super-packet.
#pragma once

#include <sys/uio.h>

#include <memory>

#include "../result.h"
#include "../unique-fd.h"
#include "offloads.h"
#include "virtio-header.h"

namespace overlay {

class InnerPort {
 public:
  // The largest message read: virtio header and the largest IP packet.
  static constexpr size_t MAX_READ_BYTES = VIRTIO_HEADER_BYTES + 65'535 + 40;

  // `fd` stays the caller's. What a TUN can do is asked of it. `hasHeaders`: whether a socket's packets
  // have headers.
  static Result<std::unique_ptr<InnerPort>> open(int fd, bool hasHeaders);

  int fd() const { return fd_.get(); }
  bool hasHeaders() const { return hasHeaders_; }
  bool takesTcp() const { return takesTcp_; }
  bool takesUdp() const { return takesUdp_; }

  // One packet; gives its bytes with the header, or -1 and errno.
  ssize_t read(uint8_t* to, size_t size);
  // One packet, in parts; the first begins with the header. False if it was not taken.
  bool write(const iovec* parts, size_t count);

 private:
  InnerPort(UniqueFd fd, bool hasHeaders) : fd_(std::move(fd)), hasHeaders_(hasHeaders) {}

  UniqueFd fd_;
  bool hasHeaders_;
  bool takesTcp_ = false;
  bool takesUdp_ = false;
};

}  // namespace overlay
