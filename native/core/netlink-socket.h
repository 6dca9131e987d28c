// A NETLINK_ROUTE socket: one request at a time, answered before the call returns, or a subscription
// to events. Answers are waited for with a bound, and taken from the kernel only.
#pragma once

#include <cstdint>
#include <vector>

#include "netlink-message.h"
#include "result.h"
#include "unique-fd.h"

namespace overlay {

struct NetlinkReply {
  uint16_t type = 0;
  std::vector<uint8_t> body;

  ByteView view() const { return {body.data(), body.size()}; }
};

class NetlinkSocket {
 public:
  // `groups`: RTMGRP_… bits to subscribe to.
  static Result<NetlinkSocket> open(uint32_t groups = 0);

  int fd() const { return fd_.get(); }
  // Sends a request and gives all answers to it. An error answer becomes an error named by the request.
  // A dump is repeated while the kernel changes underneath it, but not for ever: on a router whose state
  // never rests the last one is given, which may lack what was changing.
  Result<std::vector<NetlinkReply>> request(NetlinkMessage& message);
  // Events waiting now. ENOBUFS: some were lost, look at everything anew.
  Result<std::vector<NetlinkReply>> readEvents();

 private:
  explicit NetlinkSocket(UniqueFd fd) : fd_(std::move(fd)) {}

  Result<void> send(NetlinkMessage& message);
  Result<std::vector<NetlinkReply>> collect(const char* label, bool& isInterrupted);
  Result<size_t> receive(const char* label, int flags);

  UniqueFd fd_;
  uint32_t sequence_ = 0;
  std::vector<uint8_t> buffer_;
};

// One request over a socket of its own: these calls are rare.
Result<std::vector<NetlinkReply>> requestOnce(NetlinkMessage& message);
// The same where only success matters.
Result<void> changeOnce(NetlinkMessage& message);

}  // namespace overlay
