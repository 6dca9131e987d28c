#include "../core/tun.h"

#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <poll.h>

#include <algorithm>

#include "../core/addresses.h"
#include "../core/link-monitor.h"
#include "../core/routes.h"
#include "../core/rules.h"
#include "../core/udp-socket.h"
#include "batch.h"
#include "suites.h"

namespace overlay {
namespace {

Tun createTun(const char* name) {
  Result<Tun> tun = Tun::create(name, false);
  checkOk(tun);
  return std::move(tun.value());
}

LinkInfo linkOf(const Tun& tun) {
  Result<std::optional<LinkInfo>> link = findLink(tun.linkIndex());
  checkOk(link);
  check(link.value().has_value(), "the link");
  return *link.value();
}

bool exists(const std::string& name) {
  Result<std::optional<LinkInfo>> link = findLink(name);
  checkOk(link);
  return link.value().has_value();
}

void livesAsLongAsItsObject() {
  {
    const Tun tun = createTun("ovl-test%d");
    check(tun.name() == "ovl-test0", "the first free number");
    const Tun second = createTun("ovl-test%d");
    check(second.name() == "ovl-test1", "the second free number");
    check(linkOf(tun).name == tun.name() && !linkOf(tun).isUp, "a link that is down");
  }
  check(!exists("ovl-test0") && !exists("ovl-test1"), "no link left");
}

void setsMtuAndState() {
  const Tun tun = createTun("ovl-test");
  checkOk(setLinkMtu(tun.linkIndex(), 1380));
  checkOk(setLinkUp(tun.linkIndex(), true));
  check(linkOf(tun).mtu == 1380 && linkOf(tun).isUp, "MTU 1380 and up");
  checkOk(setLinkUp(tun.linkIndex(), false));
  check(!linkOf(tun).isUp, "down");
  checkFails(setLinkMtu(tun.linkIndex(), 10), EINVAL);
}

void isExclusive() {
  const Tun tun = createTun("ovl-test");
  checkFails(Tun::create("ovl-test", false), EBUSY);
  checkFails(Tun::create("name-that-is-too-long", false), ENAMETOOLONG);
}

void adoptsItsDescriptor() {
  const Tun tun = createTun("ovl-test");
  Result<Tun> adopted = Tun::adopt(UniqueFd(::dup(tun.fd())));
  checkOk(adopted);
  check(adopted.value().name() == "ovl-test" && adopted.value().linkIndex() == tun.linkIndex(), "the same link");
  check(!Tun::adopt(UniqueFd(::open("/dev/null", O_RDWR))).ok(), "another descriptor refused");
}

// 192.0.2.1 on the interface, a packet from it to 192.0.2.2 through it, and an answer back into it.
void carriesPackets() {
  Tun tun = createTun("ovl-test");
  Batch batch(8);
  const uint8_t here[] = {192, 0, 2, 1};
  const uint8_t there[] = {192, 0, 2, 2};
  checkOk(addAddress({tun.linkIndex(), {*IpBytes::from({here, 4}), 24}}));
  checkOk(setLinkUp(tun.linkIndex(), true));
  Result<UdpSocket> socket = UdpSocket::open({});
  checkOk(socket);
  Batch out(1);
  out.setText(0, "inner");
  std::copy(std::begin(there), std::end(there), out.headers().remote);
  out.headers().remotePort[0] = socket.value().port();
  check(socket.value().sendBatch(out.slab(), out.headers(), 1) == 1, "the datagram taken");

  size_t found = batch.slab().slots;
  while (found == batch.slab().slots) {
    pollfd entry{tun.fd(), POLLIN, 0};
    check(::poll(&entry, 1, 2000) == 1, "a packet within two seconds");
    Result<size_t> count = tun.readBatch(batch.slab());
    checkOk(count);
    for (size_t i = 0; i < count.value(); i++) {
      if (batch.slab().at(i)[0] == 0x45) found = i;
    }
  }
  uint8_t* const packet = batch.slab().at(found);
  check(batch.slab().lengths[found] == 20 + 8 + 5, "an IPv4 packet of 33 bytes");
  // The answer: addresses swapped, which keeps both checksums right.
  std::swap_ranges(packet + 12, packet + 16, packet + 16);
  Slab slab = batch.slab();
  slab.bytes = packet - slab.headroom;
  slab.lengths += found;
  slab.slots = 1;
  check(tun.writeBatch(slab, 1) == 1, "the answer taken");
  pollfd entry{socket.value().fd(), POLLIN, 0};
  check(::poll(&entry, 1, 2000) == 1, "the answer within two seconds");
}

void countsOnlyWhatWasTaken() {
  Tun tun = createTun("ovl-test");
  checkOk(setLinkUp(tun.linkIndex(), true));
  Batch batch(2);
  batch.setText(0, "\x10 is no IP version");
  batch.setText(1, std::string("\x45", 1) + std::string(19, '\0'));
  check(tun.writeBatch(batch.slab(), 2) == 1, "the one with an IP version taken");
  checkOk(tun.readBatch(batch.slab()));
}

void tellsOfItsEnd() {
  Tun tun = createTun("ovl-test");
  Batch batch(2);
  check(tun.pendingError() == 0, "no error yet");
  checkOk(deleteLink(tun.linkIndex()));
  checkFails(tun.readBatch(batch.slab()), EBADFD);
  check(tun.pendingError() == EBADFD, "EBADFD");
  batch.setText(0, std::string("\x45", 1) + std::string(19, '\0'));
  check(tun.writeBatch(batch.slab(), 1) == 0, "nothing taken");
}

void monitorSeesLife() {
  Result<LinkMonitor> monitor = LinkMonitor::open(false);
  checkOk(monitor);
  const uint8_t here[] = {192, 0, 2, 1};
  uint32_t index = 0;
  {
    const Tun tun = createTun("ovl-test");
    index = tun.linkIndex();
    checkOk(addAddress({index, {*IpBytes::from({here, 4}), 24}}));
    checkOk(setLinkUp(index, true));
  }
  bool sawUp = false;
  bool sawAddress = false;
  bool sawRemoved = false;
  Result<std::vector<NetworkEvent>> events = monitor.value().read();
  checkOk(events);
  for (const NetworkEvent& event : events.value()) {
    if (const auto* link = std::get_if<LinkEvent>(&event); link != nullptr && link->link.index == index) {
      sawUp = sawUp || link->link.isUp;
      sawRemoved = sawRemoved || link->isRemoved;
    }
    if (const auto* address = std::get_if<AddressEvent>(&event); address != nullptr) {
      sawAddress = sawAddress || (address->address.linkIndex == index && !address->isRemoved);
    }
  }
  check(sawUp && sawAddress && sawRemoved, "link up, address and removal");
}

void isKnownAsTunnel() {
  const Tun tun = createTun("ovl-test");
  checkOk(setLinkAlias(tun.linkIndex(), "overlay tunnel"));
  Result<std::vector<LinkInfo>> links = listLinks();
  checkOk(links);
  for (const LinkInfo& link : links.value()) {
    const bool isOurs = link.index == tun.linkIndex();
    check(link.isTunnel == isOurs, "the TUN alone is a tunnel");
    check((link.alias == "overlay tunnel") == isOurs, "and has the alias");
  }
  check(links.value().size() >= 2, "loopback and the TUN");
}

size_t routeEventsOf(LinkMonitor& monitor) {
  Result<std::vector<NetworkEvent>> events = monitor.read();
  checkOk(events);
  return static_cast<size_t>(std::count_if(events.value().begin(), events.value().end(), [](const NetworkEvent& event) {
    return std::holds_alternative<RoutesEvent>(event);
  }));
}

void monitorSeesRoutesOnce() {
  Result<LinkMonitor> all = LinkMonitor::open(true);
  Result<LinkMonitor> linksOnly = LinkMonitor::open(false);
  checkOk(all);
  checkOk(linksOnly);
  const Tun tun = createTun("ovl-test");
  checkOk(setLinkUp(tun.linkIndex(), true));
  routeEventsOf(all.value());
  for (uint8_t i = 0; i < 20; i++) {
    const uint8_t network[] = {198, 51, 100, i};
    checkOk(addRoute({{*IpBytes::from({network, 4}), 32}, tun.linkIndex(), RT_TABLE_MAIN, {}}, false));
  }
  check(routeEventsOf(all.value()) == 1, "many routes, one event");
  Rule rule;
  rule.family = AF_INET6;
  rule.table = 4711;
  rule.priority = 1000;
  checkOk(addRule(rule));
  check(routeEventsOf(all.value()) == 1, "a rule of IPv6");
  checkOk(removeRule(rule));
  check(routeEventsOf(linksOnly.value()) == 0, "none where nobody asked");
}

}  // namespace

std::vector<Test> tunTests() {
  return {
      {"a TUN lives as long as its object", livesAsLongAsItsObject},
      {"a TUN takes MTU and state", setsMtuAndState},
      {"a TUN has one owner and a name that fits", isExclusive},
      {"a TUN is adopted from its descriptor", adoptsItsDescriptor},
      {"a TUN carries packets both ways", carriesPackets},
      {"a TUN counts only packets that it took", countsOnlyWhatWasTaken},
      {"a TUN tells when its interface was removed", tellsOfItsEnd},
      {"a TUN is known as a tunnel, and by its alias", isKnownAsTunnel},
      {"the monitor sees routes and rules, once for many", monitorSeesRoutesOnce},
      {"the monitor sees links and addresses come and go", monitorSeesLife},
  };
}

}  // namespace overlay
