// What goes with a datagram besides its bytes, to and from the kernel's form: remote endpoint, local
// address (so that answers leave from where the question arrived), TOS or traffic class byte, and the size
// of the segments where one message stands for a train of datagrams.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <cstring>

namespace overlay {

// Addresses of one datagram, 4 bytes each on a v4 socket, 16 on a v6 one.
struct Addresses {
  uint8_t remote[16] = {};
  // All zero: the kernel chooses, or did not tell.
  uint8_t local[16] = {};
  uint16_t remotePort = 0;
  uint32_t remoteScope = 0;

  bool hasLocal() const {
    static constexpr uint8_t NOWHERE[16] = {};
    return std::memcmp(local, NOWHERE, sizeof(local)) != 0;
  }
};

struct Envelope {
  // Local address, TOS, segment size and hops of either family, with room for alignment.
  static constexpr size_t CONTROL_BYTES = CMSG_SPACE(sizeof(in6_pktinfo)) + 3 * CMSG_SPACE(sizeof(int));

  sockaddr_in6 address{};
  alignas(cmsghdr) std::array<uint8_t, CONTROL_BYTES> control{};
};

struct DatagramInfo {
  Addresses addresses;
  uint8_t tos = 0;
  // Bytes of each datagram of a train but the last; 0 if it is no train.
  uint16_t segmentBytes = 0;
  // After which a datagram to be sent is thrown away on its way; 0 for the kernel's default.
  uint8_t hops = 0;
};

// Makes room for what comes with a message that is to be received.
void prepareReceive(msghdr& header, Envelope& envelope);
// After it was received.
DatagramInfo decodeInfo(const msghdr& header);

// Addresses a message that is to be sent. `hasSource`: whether to ask for the local address.
void encodeInfo(msghdr& header, Envelope& envelope, int family, const DatagramInfo& info, bool hasSource);

// Whether an error of sending may mean that the local address has left the machine: the link must not die
// with it. Kernels disagree about the error, and some say the same when there is no route.
bool mayBlameSource(int code);

}  // namespace overlay
