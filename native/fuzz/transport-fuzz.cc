// What comes from the wire, through a whole data plane. The first byte tells how: 0, a datagram as it is;
// else the rest is sealed as an honest peer would, so that garbage gets past the tag.

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstring>

#include "../core/dataplane/data-plane.h"
#include "../test/check.h"
#include "../test/far-end.h"
#include "target.h"

using namespace overlay;

namespace {

constexpr uint32_t INDEX = 3;
constexpr size_t MAX_PACKET_BYTES = 60'000;

// One plane for all runs, and a socket to talk to it.
struct Fixture {
  std::vector<double> blocks = std::vector<double>(2 * BLOCK_FIELDS);
  UniqueFd inner;
  UniqueFd planeEnd;
  UniqueFd sender{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  std::unique_ptr<DataPlane> plane;
  uint64_t counter = 0;

  Fixture() {
    int ends[2];
    check(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0, "a socket pair");
    inner = UniqueFd(ends[0]);
    planeEnd = UniqueFd(ends[1]);
    DataPlaneOptions options;
    options.innerFd = planeEnd.get();
    options.hasHeaders = true;
    options.mtu = 1420;
    options.blocks = PeerBlocks(blocks.data(), 1);
    options.aead = chooseAead().value();
    plane = std::move(DataPlane::create(options).value());
    const uint16_t port = plane->openSocket(UdpOptions{}).value().port;
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(::connect(sender.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0, "a connected socket");
    plane->addPeer(0);
    plane->installKeypair(0, materialOf(INDEX));
    static const uint8_t ANY[16] = {};
    plane->changeAllowedIps({{4, ANY, 0, 0}, {6, ANY, 0, 0}});
  }

  void send(const Bytes& datagram) {
    (void)!::send(sender.get(), datagram.data(), datagram.size(), 0);
    while (!plane->isIdle()) ::poll(nullptr, 0, 0);
    uint8_t written[70'000];
    while (::read(inner.get(), written, sizeof(written)) > 0) {
    }
    plane->takeEvents();
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  static Fixture fixture;
  if (size == 0 || size > MAX_PACKET_BYTES) return 0;
  if (bytes[0] == 0)
    fixture.send(Bytes(bytes + 1, bytes + size));
  else
    fixture.send(sealedMessage(INDEX, fixture.counter++, bytes + 1, size - 1));
  return 0;
}
