// What the kernel does for us, so that one system call stands for a train of packets. Found out when a
// port is opened; what is missing is done here, packet by packet.
#pragma once

namespace overlay {

struct Offloads {
  // Inner interface: super-packets both ways, of TCP, and of UDP (Linux 6.2).
  bool innerTcp = false;
  bool innerUdp = false;
  // Outer sockets: UDP_SEGMENT and UDP_GRO.
  bool outerSend = false;
  bool outerReceive = false;

  static Offloads all() { return {true, true, true, true}; }
};

}  // namespace overlay
