#include <linux/rtnetlink.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "../core/addresses.h"
#include "../core/links.h"
#include "../core/routes.h"
#include "../core/rules.h"
#include "suites.h"

namespace overlay {
namespace {

constexpr uint32_t LOOPBACK = 1;
constexpr uint32_t TABLE = 51820;  // above 255: needs the attribute

IpBytes ip(std::initializer_list<uint8_t> bytes) { return *IpBytes::from({bytes.begin(), bytes.size()}); }

IpBytes v6(uint8_t last) { return ip({0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last}); }

bool equal(const IpPrefix& a, const IpPrefix& b) {
  return a.bits == b.bits && a.address.size == b.address.size && a.address.bytes == b.address.bytes;
}

bool hasAddress(const IpPrefix& prefix) {
  Result<std::vector<InterfaceAddress>> list = listAddresses(LOOPBACK);
  checkOk(list);
  return std::any_of(list.value().begin(), list.value().end(),
                     [&](const InterfaceAddress& address) { return equal(address.prefix, prefix); });
}

void addressRoundTrip(const IpPrefix& prefix) {
  checkOk(addAddress({LOOPBACK, prefix}));
  check(hasAddress(prefix), "the address");
  checkFails(addAddress({LOOPBACK, prefix}), EEXIST);
  checkOk(removeAddress({LOOPBACK, prefix}));
  check(!hasAddress(prefix), "no address");
  checkFails(removeAddress({LOOPBACK, prefix}), EADDRNOTAVAIL);
}

void addressesV4() { addressRoundTrip({ip({192, 0, 2, 1}), 24}); }
void addressesV6() { addressRoundTrip({v6(1), 64}); }

// More than one part of a dump, while another thread changes what is dumped.
void listsWhatIsChanging() {
  constexpr size_t COUNT = 1000;
  const auto nth = [](size_t i) {
    return InterfaceAddress{LOOPBACK, {ip({198, 18, static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i)}), 32}};
  };
  for (size_t i = 0; i < COUNT; i++) checkOk(addAddress(nth(i)));
  std::atomic<bool> isOver{false};
  std::thread restless([&] {
    while (!isOver) {
      checkOk(addAddress(nth(COUNT)));
      checkOk(removeAddress(nth(COUNT)));
    }
  });
  for (int round = 0; round < 50; round++) {
    Result<std::vector<InterfaceAddress>> list = listAddresses(LOOPBACK);
    checkOk(list);
    check(list.value().size() >= COUNT, "all addresses that rest");
  }
  isOver = true;
  restless.join();
  for (size_t i = 0; i < COUNT; i++) checkOk(removeAddress(nth(i)));
}

void listsNothingOfNothing() {
  Result<std::vector<InterfaceAddress>> addresses = listAddresses(4000);
  checkOk(addresses);
  check(addresses.value().empty(), "no address of no link");
  for (const uint8_t family : {uint8_t{AF_INET}, uint8_t{AF_INET6}}) {
    Result<std::vector<Route>> routes = listRoutes(family, 4000);
    checkOk(routes);
    check(routes.value().empty(), "no route of no table");
  }
}

bool hasRoute(const Route& wanted) {
  Result<std::vector<Route>> list = listRoutes(wanted.prefix.address.family(), wanted.table);
  checkOk(list);
  return std::any_of(list.value().begin(), list.value().end(), [&](const Route& route) {
    const bool sameGateway = route.gateway.has_value() == wanted.gateway.has_value() &&
                             (!route.gateway || route.gateway->bytes == wanted.gateway->bytes);
    return equal(route.prefix, wanted.prefix) && route.linkIndex == wanted.linkIndex && sameGateway;
  });
}

void routeRoundTrip(const Route& route) {
  checkOk(addRoute(route, false));
  check(hasRoute(route), "the route");
  checkFails(addRoute(route, false), EEXIST);
  checkOk(addRoute(route, true));
  checkOk(removeRoute(route));
  check(!hasRoute(route), "no route");
  checkFails(removeRoute(route), ESRCH);
}

void routesV4() {
  routeRoundTrip({{ip({198, 51, 100, 0}), 24}, LOOPBACK, TABLE, {}});
  routeRoundTrip({{ip({0, 0, 0, 0}), 0}, LOOPBACK, TABLE, {}});
}

void routesV6() {
  IpBytes net = v6(0);
  routeRoundTrip({{net, 32}, LOOPBACK, TABLE, {}});
  net.bytes = {};
  routeRoundTrip({{net, 0}, LOOPBACK, TABLE, {}});
}

void routesWithGateway() {
  const IpPrefix here{ip({192, 0, 2, 1}), 24};
  checkOk(addAddress({LOOPBACK, here}));
  checkOk(addRoute({{ip({192, 0, 2, 0}), 24}, LOOPBACK, RT_TABLE_MAIN, {}}, true));
  routeRoundTrip({{ip({198, 51, 100, 0}), 24}, LOOPBACK, RT_TABLE_MAIN, ip({192, 0, 2, 9})});
  checkOk(removeRoute({{ip({192, 0, 2, 0}), 24}, LOOPBACK, RT_TABLE_MAIN, {}}));
  checkOk(removeAddress({LOOPBACK, here}));
}

void findsRoutes() {
  Result<std::optional<RouteAnswer>> local = routeTo(ip({127, 0, 0, 1}), 0);
  checkOk(local);
  check(local.value() && local.value()->linkIndex == LOOPBACK, "loopback for 127.0.0.1");
  Result<std::optional<RouteAnswer>> none = routeTo(ip({203, 0, 113, 1}), 0);
  checkOk(none);
  check(!none.value(), "no way to a documentation address");
  Result<std::optional<RouteAnswer>> none6 = routeTo(v6(1), 0);
  checkOk(none6);
  check(!none6.value(), "no way to a v6 documentation address");
}

bool hasRule(const Rule& wanted) {
  Result<std::vector<Rule>> list = listRules(wanted.family);
  checkOk(list);
  return std::any_of(list.value().begin(), list.value().end(), [&](const Rule& rule) {
    return rule.table == wanted.table && rule.priority == wanted.priority && rule.mark == wanted.mark &&
           rule.isInverted == wanted.isInverted && rule.suppressPrefixLength == wanted.suppressPrefixLength;
  });
}

void ruleRoundTrip(const Rule& rule) {
  checkOk(addRule(rule));
  check(hasRule(rule), "the rule");
  checkFails(addRule(rule), EEXIST);
  checkOk(removeRule(rule));
  check(!hasRule(rule), "no rule");
  checkFails(removeRule(rule), ENOENT);
}

void rules(uint8_t family) {
  Rule marked;
  marked.family = family;
  marked.table = TABLE;
  marked.priority = 1000;
  marked.mark = 0xca6c;
  marked.mask = UINT32_MAX;
  marked.isInverted = true;
  ruleRoundTrip(marked);
  Rule suppressing;
  suppressing.family = family;
  suppressing.table = RT_TABLE_MAIN;
  suppressing.priority = 999;
  suppressing.suppressPrefixLength = 0;
  ruleRoundTrip(suppressing);
}

void rulesV4() { rules(AF_INET); }
void rulesV6() { rules(AF_INET6); }

void markChoosesTable() {
  const Route route{{ip({203, 0, 113, 0}), 24}, LOOPBACK, TABLE, {}};
  Rule rule;
  rule.family = AF_INET;
  rule.table = TABLE;
  rule.priority = 1000;
  rule.mark = 7;
  checkOk(addRoute(route, false));
  checkOk(addRule(rule));
  Result<std::optional<RouteAnswer>> marked = routeTo(ip({203, 0, 113, 1}), 7);
  Result<std::optional<RouteAnswer>> plain = routeTo(ip({203, 0, 113, 1}), 0);
  checkOk(marked);
  checkOk(plain);
  check(marked.value().has_value() && !plain.value(), "a way for marked packets only");
  checkOk(removeRule(rule));
  checkOk(removeRoute(route));
}

void linksByNameAndIndex() {
  Result<std::optional<LinkInfo>> named = findLink(std::string("lo"));
  checkOk(named);
  check(named.value() && named.value()->index == LOOPBACK && named.value()->isUp, "lo, up");
  Result<std::optional<LinkInfo>> none = findLink(std::string("ovl-none"));
  checkOk(none);
  check(!none.value(), "no such link");
  Result<std::optional<LinkInfo>> noIndex = findLink(uint32_t{4000});
  checkOk(noIndex);
  check(!noIndex.value(), "no link of that index");
  Result<std::optional<LinkInfo>> tooLong = findLink(std::string(40, 'x'));
  checkOk(tooLong);
  check(!tooLong.value(), "no link of a name that cannot be");
  checkFails(setLinkUp(4000, true), ENODEV);
  checkFails(deleteLink(4000), ENODEV);
}

}  // namespace

std::vector<Test> rtnetlinkTests() {
  return {
      {"links are found by name and index", linksByNameAndIndex},
      {"v4 addresses come and go", addressesV4},
      {"v6 addresses come and go", addressesV6},
      {"addresses are listed while they change", listsWhatIsChanging},
      {"there is nothing of a link or table that is not", listsNothingOfNothing},
      {"v4 routes come and go", routesV4},
      {"v6 routes come and go", routesV6},
      {"routes have gateways", routesWithGateway},
      {"the route to an address is found or absent", findsRoutes},
      {"v4 rules come and go", rulesV4},
      {"v6 rules come and go", rulesV6},
      {"a mark chooses the table", markChoosesTable},
  };
}

}  // namespace overlay
