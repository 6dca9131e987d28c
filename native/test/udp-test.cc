#include <netinet/in.h>
#include <poll.h>

#include <algorithm>

#include "../core/ip.h"
#include "../core/udp-socket.h"
#include "batch.h"
#include "suites.h"

namespace overlay {
namespace {

constexpr uint8_t TOS = 0x8a;  // AF41 and ECT(0)

IpBytes loopback(int family, uint8_t last = 1) {
  IpBytes ip;
  ip.size = family == 4 ? 4 : 16;
  if (family == 4) ip.bytes[0] = 127;
  ip.bytes[ip.size - 1] = last;
  return ip;
}

UdpSocket openSocket(int family) {
  UdpOptions options;
  options.family = family;
  Result<UdpSocket> socket = UdpSocket::open(options);
  checkOk(socket);
  return std::move(socket.value());
}

void address(Batch& batch, size_t slot, const IpBytes& remote, uint16_t port) {
  std::copy_n(remote.bytes.begin(), remote.size, batch.headers().remote + slot * ADDRESS_BYTES);
  batch.headers().remotePort[slot] = port;
  batch.headers().tos[slot] = TOS;
}

void waitFor(const UdpSocket& socket) {
  pollfd entry{socket.fd(), POLLIN, 0};
  check(::poll(&entry, 1, 2000) == 1, "a datagram within two seconds");
}

void carriesBatch(int family, size_t count) {
  UdpSocket sender = openSocket(family);
  UdpSocket receiver = openSocket(family);
  Batch out(count);
  for (size_t i = 0; i < count; i++) {
    out.setText(i, "datagram " + std::to_string(i));
    address(out, i, loopback(family), receiver.port());
  }
  check(sender.sendBatch(out.slab(), out.headers(), count) == count, "all datagrams taken");
  Batch in(count);
  size_t received = 0;
  while (received < count) {
    waitFor(receiver);
    const size_t got = receiver.receiveBatch(in.slab(), in.headers());
    for (size_t i = 0; i < got; i++) {
      check(in.text(i) == "datagram " + std::to_string(received + i), "datagrams in order");
      const IpBytes expected = loopback(family);
      check(std::equal(expected.bytes.begin(), expected.bytes.begin() + ADDRESS_BYTES,
                       in.headers().remote + i * ADDRESS_BYTES),
            "the sender's address");
      check(std::equal(expected.bytes.begin(), expected.bytes.begin() + ADDRESS_BYTES,
                       in.headers().local + i * ADDRESS_BYTES),
            "the local address");
      check(in.headers().remotePort[i] == sender.port(), "the sender's port");
      check(in.headers().tos[i] == TOS, "the TOS byte");
    }
    received += got;
  }
  check(receiver.receiveBatch(in.slab(), in.headers()) == 0, "nothing more");
}

void carriesV4() { carriesBatch(4, 20); }
void carriesV6() { carriesBatch(6, 20); }
void carriesMoreThanOneCall() { carriesBatch(4, 150); }

void sendsFromChosenSource() {
  UdpSocket sender = openSocket(4);
  UdpSocket receiver = openSocket(4);
  Batch out(1);
  out.setText(0, "hello");
  address(out, 0, loopback(4), receiver.port());
  const IpBytes source = loopback(4, 7);
  std::copy_n(source.bytes.begin(), 4, out.headers().local);
  check(sender.sendBatch(out.slab(), out.headers(), 1) == 1, "the datagram taken");
  waitFor(receiver);
  Batch in(1);
  check(receiver.receiveBatch(in.slab(), in.headers()) == 1, "the datagram");
  check(std::equal(source.bytes.begin(), source.bytes.begin() + 4, in.headers().remote), "127.0.0.7 as its source");
}

void outlivesVanishedSource(int family) {
  UdpSocket sender = openSocket(family);
  UdpSocket receiver = openSocket(family);
  Batch out(3);
  for (size_t i = 0; i < 3; i++) {
    out.setText(i, std::to_string(i));
    address(out, i, loopback(family), receiver.port());
  }
  // The middle one remembers an address that this machine never had (documentation prefixes).
  const uint8_t v4[] = {192, 0, 2, 1};
  const uint8_t v6[] = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  uint8_t* const local = out.headers().local + ADDRESS_BYTES;
  if (family == 4) std::copy(std::begin(v4), std::end(v4), local);
  if (family == 6) std::copy(std::begin(v6), std::end(v6), local);
  check(sender.sendBatch(out.slab(), out.headers(), 3) == 3, "all three taken");
  Batch in(3);
  waitFor(receiver);
  check(receiver.receiveBatch(in.slab(), in.headers()) == 3, "all three received");
}

void outlivesVanishedSourceV4() { outlivesVanishedSource(4); }
void outlivesVanishedSourceV6() { outlivesVanishedSource(6); }

void skipsWhatCannotBeSent() {
  UdpSocket sender = openSocket(4);
  UdpSocket receiver = openSocket(4);
  Batch out(2);
  out.setText(0, "to nowhere");
  out.setText(1, "to the receiver");
  address(out, 0, loopback(4), 0);  // port 0 is refused
  address(out, 1, loopback(4), receiver.port());
  check(sender.sendBatch(out.slab(), out.headers(), 2) == 1, "one of two taken");
  waitFor(receiver);
  Batch in(2);
  check(receiver.receiveBatch(in.slab(), in.headers()) == 1 && in.text(0) == "to the receiver", "the good one");
}

void marksCutDatagrams() {
  UdpSocket sender = openSocket(4);
  UdpSocket receiver = openSocket(4);
  Batch out(1);
  out.setText(0, std::string(500, 'x'));
  address(out, 0, loopback(4), receiver.port());
  check(sender.sendBatch(out.slab(), out.headers(), 1) == 1, "the datagram taken");
  waitFor(receiver);
  Batch in(1, 100, 16);
  check(receiver.receiveBatch(in.slab(), in.headers()) == 1, "the datagram");
  check(in.slab().lengths[0] == 0, "length 0 for a datagram that did not fit");
}

void ignoresRefusedPorts() {
  UdpSocket sender = openSocket(4);
  uint16_t closedPort = 0;
  {
    const UdpSocket closed = openSocket(4);
    closedPort = closed.port();
  }
  Batch out(1);
  out.setText(0, "x");
  address(out, 0, loopback(4), closedPort);
  for (int i = 0; i < 3; i++) check(sender.sendBatch(out.slab(), out.headers(), 1) == 1, "the datagram taken");
  pollfd entry{sender.fd(), POLLIN, 0};
  check(::poll(&entry, 1, 0) == 0, "a socket that is not ready");
}

// Connected, so that the kernel reports the closed port to the socket.
void outlivesItsError() {
  UdpSocket socket = openSocket(4);
  sockaddr_in closed{};
  closed.sin_family = AF_INET;
  closed.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  closed.sin_port = htons(openSocket(4).port());
  check(::connect(socket.fd(), reinterpret_cast<const sockaddr*>(&closed), sizeof(closed)) == 0, "a connection");
  check(::send(socket.fd(), "x", 1, 0) == 1, "a datagram to a closed port");
  pollfd entry{socket.fd(), 0, 0};
  check(::poll(&entry, 1, 2000) == 1 && entry.revents == POLLERR, "the error within two seconds");
  check(socket.takeError(), "the error taken");
  check(::poll(&entry, 1, 0) == 0, "a socket that is not ready");
  check(socket.takeError(), "true if there was no error");
}

void bindsOnce() {
  const UdpSocket first = openSocket(4);
  UdpOptions options;
  options.port = first.port();
  checkFails(UdpSocket::open(options), EADDRINUSE);
  options.family = 6;  // takes v6 only, so the same port is free there
  checkOk(UdpSocket::open(options));
}

void bindsToAddress() {
  const IpBytes ip = loopback(4, 9);
  UdpOptions options;
  options.address = ip.view();
  checkOk(UdpSocket::open(options));
  options.family = 6;
  checkFails(UdpSocket::open(options), EINVAL);
}

}  // namespace

std::vector<Test> udpTests() {
  return {
      {"a v4 batch carries text, addresses and TOS", carriesV4},
      {"a v6 batch carries text, addresses and traffic class", carriesV6},
      {"a batch larger than one system call is carried", carriesMoreThanOneCall},
      {"a datagram leaves from the source asked for", sendsFromChosenSource},
      {"a v4 datagram outlives its vanished source address", outlivesVanishedSourceV4},
      {"a v6 datagram outlives its vanished source address", outlivesVanishedSourceV6},
      {"a datagram that cannot be sent does not stop the others", skipsWhatCannotBeSent},
      {"a datagram larger than its slot has length 0", marksCutDatagrams},
      {"refused ports do not trouble the socket", ignoresRefusedPorts},
      {"an error is taken off the socket", outlivesItsError},
      {"a port is bound once per family", bindsOnce},
      {"a socket binds to an address of its family", bindsToAddress},
  };
}

}  // namespace overlay
