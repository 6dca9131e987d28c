// Whole data planes over socket pairs and loopback, with many threads, while everything they look at is
// changed under them. What it shows is for the sanitizers to see: above all the one for threads.

#include <sys/socket.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "../core/dataplane/data-plane.h"
#include "far-end.h"
#include "random.h"
#include "suites.h"

namespace overlay {
namespace {

constexpr size_t SLOTS = 4;

struct PlaneUnderTest {
  std::vector<double> blocks = std::vector<double>((SLOTS + 1) * BLOCK_FIELDS);
  UniqueFd inner;
  UniqueFd planeEnd;
  std::unique_ptr<DataPlane> plane;
  uint32_t socket = 0;
  uint16_t port = 0;

  explicit PlaneUnderTest(size_t threads, bool hasHeaders = true) {
    int ends[2];
    check(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0, "a socket pair");
    inner = UniqueFd(ends[0]);
    planeEnd = UniqueFd(ends[1]);
    DataPlaneOptions options;
    options.innerFd = planeEnd.get();
    options.hasHeaders = hasHeaders;
    options.threads = threads;
    options.mtu = 1420;
    options.blocks = PeerBlocks(blocks.data(), SLOTS);
    options.aead = chooseAead().value();
    plane = std::move(DataPlane::create(options).value());
    Result<DataPlane::OpenedSocket> opened = plane->openSocket(UdpOptions{});
    checkOk(opened);
    socket = opened.value().id;
    port = opened.value().port;
  }

  double get(size_t slot, Field field) const {
    return PeerBlocks(const_cast<double*>(blocks.data()), SLOTS).get(slot, field);
  }
  void send(const Bytes& packet) const {
    Bytes message(VIRTIO_HEADER_BYTES);
    message.insert(message.end(), packet.begin(), packet.end());
    (void)!::write(inner.get(), message.data(), message.size());
  }
  size_t drain() const {
    static thread_local uint8_t buffer[70'000];
    size_t count = 0;
    while (::read(inner.get(), buffer, sizeof(buffer)) > 0) count++;
    return count;
  }
};

Addresses loopbackAt(uint16_t port) {
  Addresses addresses;
  const uint8_t loopback[4] = {127, 0, 0, 1};
  std::memcpy(addresses.remote, loopback, 4);
  addresses.remotePort = port;
  return addresses;
}

void allowAll(DataPlane& plane, uint32_t slot) {
  static const uint8_t ANY[16] = {};
  plane.changeAllowedIps({{4, ANY, 0, slot}, {6, ANY, 0, slot}});
}

void connect(PlaneUnderTest& a, const PlaneUnderTest& b, uint32_t index) {
  a.plane->addPeer(0);
  a.plane->setPath(0, a.socket, loopbackAt(b.port));
  a.plane->installKeypair(0, materialOf(index));
  allowAll(*a.plane, 0);
}

void carriesBothWaysWhileAllChanges() {
  PlaneUnderTest a(3);
  PlaneUnderTest b(2);
  connect(a, b, 1);
  connect(b, a, 1);
  std::atomic<bool> isOver{false};
  std::thread traffic([&] {
    uint32_t sequence = 0;
    while (!isOver.load()) {
      for (const PlaneUnderTest* const side : {&a, &b}) {
        TcpOptions options;
        options.sequence = sequence;
        for (int i = 0; i < 20; i++, options.sequence += 1'000) side->send(tcpPacket(1'000, options));
        side->drain();
      }
      sequence += 20'000;
    }
  });
  Random random(8);
  for (uint32_t i = 2; i < 400; i++) {
    PlaneUnderTest& side = random.below(2) == 0 ? a : b;
    PlaneUnderTest& other = &side == &a ? b : a;
    switch (random.below(8)) {
      case 0:
        // Both ends, one after the other: what is under way meanwhile is lost or late.
        side.plane->installKeypair(0, materialOf(i));
        other.plane->installKeypair(0, materialOf(i, false));
        side.plane->sendKeepalive(0);
        break;
      case 1:
        allowAll(*side.plane, 0);
        break;
      case 2:
        side.plane->setPath(0, side.socket, loopbackAt(other.port));
        break;
      case 3: {
        Result<DataPlane::OpenedSocket> opened = side.plane->openSocket(UdpOptions{});
        checkOk(opened);
        side.plane->setPath(0, opened.value().id, loopbackAt(other.port));
        side.plane->setPath(0, side.socket, loopbackAt(other.port));
        side.plane->closeSocket(opened.value().id);
        break;
      }
      case 4:
        side.plane->addPeer(2);
        side.plane->setPath(2, side.socket, loopbackAt(9));
        side.plane->installKeypair(2, materialOf(100'000 + i));
        side.plane->sendKeepalive(2);
        side.plane->removePeer(2);
        break;
      case 5:
        side.plane->takeEvents();
        break;
      case 6:
        side.plane->sendDatagram(side.socket, {loopbackAt(other.port), 0, 0},
                                 {side.blocks.empty() ? nullptr : reinterpret_cast<const uint8_t*>("handshake"), 9});
        break;
      default:
        side.plane->removePeer(0);
        connect(side, other, i);
        other.plane->installKeypair(0, materialOf(i));
        break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  isOver.store(true);
  traffic.join();
  check(a.get(0, Field::txMessages) + b.get(0, Field::txMessages) > 0, "something to have been carried");
  a.plane->stop();
  b.plane->stop();
  a.plane->stop();
}

// With one keypair and nothing changing, all that goes in comes out.
void losesNothingInPeace() {
  PlaneUnderTest a(2);
  PlaneUnderTest b(3);
  connect(a, b, 1);
  connect(b, a, 1);
  constexpr uint32_t PACKETS = 3'000;
  for (uint32_t i = 0; i < PACKETS; i++) {
    TcpOptions options;
    options.sequence = i * 500;
    options.identification = static_cast<uint16_t>(i);
    a.send(tcpPacket(500, options));
    // No more at once than the socket can hold.
    while (b.get(0, Field::rxMessages) + 100 < i) b.drain();
  }
  while (b.get(0, Field::rxMessages) < PACKETS) b.drain();
  while (!b.plane->isIdle()) b.drain();
  check(b.get(0, Field::rxMessages) == PACKETS, "every message once");
}

// The event loop of this program is nobody: nothing takes the events.
void keepsAliveWhenNobodyListens() {
  PlaneUnderTest a(1);
  PlaneUnderTest b(1);
  connect(a, b, 1);
  connect(b, a, 1);
  a.plane->setKeepaliveInterval(0, 1);
  const double startMs = bootNowMs();
  while (b.get(0, Field::rxMessages) < 1 && bootNowMs() < startMs + 30'000) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  check(b.get(0, Field::rxMessages) >= 1, "a keepalive without anybody's doing");
  check(b.get(0, Field::lastDataReceiveMs) == 0, "an empty message");
}

void leavesItToWhoeverListens() {
  PlaneUnderTest a(1);
  PlaneUnderTest b(1);
  connect(a, b, 1);
  connect(b, a, 1);
  a.plane->setKeepaliveInterval(0, 1);
  const double startMs = bootNowMs();
  while (bootNowMs() < startMs + 3'500) {
    a.plane->takeEvents();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  check(a.get(0, Field::txMessages) == 0, "no keepalive of its own");
}

}  // namespace

std::vector<Test> planeTests() {
  return {
      {"data plane: carries both ways while all changes", carriesBothWaysWhileAllChanges},
      {"data plane: loses nothing in peace", losesNothingInPeace},
      {"data plane: keeps alive when nobody listens", keepsAliveWhenNobodyListens},
      {"data plane: leaves it to whoever listens", leavesItToWhoeverListens},
  };
}

}  // namespace overlay
