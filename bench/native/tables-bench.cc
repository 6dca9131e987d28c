// The two tables that every packet meets: allowed IPs by longest prefix, and the replay window. Prints
// nanoseconds.

#include <cstdio>
#include <vector>

#include "../../native/core/dataplane/allowed-ips.h"
#include "../../native/core/dataplane/replay-window.h"
#include "../../native/test/random.h"
#include "timing.h"

namespace overlay {
namespace {

// Something that the compiler cannot leave out.
volatile int64_t sink = 0;

double lookupNs(int version, size_t prefixes) {
  Random random(1);
  AllowedIps table;
  std::vector<std::vector<uint8_t>> addresses;
  for (uint32_t slot = 0; slot < prefixes; slot++) {
    std::vector<uint8_t> address = random.bytes(16);
    // Networks as people make them: /24 and /64, and hosts.
    const unsigned bits = version == 4 ? (slot % 2 == 0 ? 24 : 32) : (slot % 2 == 0 ? 64 : 128);
    for (size_t i = bits / 8; i < address.size(); i++) address[i] = 0;
    table.insert(version, address.data(), bits, slot);
    addresses.push_back(std::move(address));
  }
  size_t at = 0;
  return nanosecondsPer([&] {
    sink = sink + table.lookup(version, addresses[at].data());
    at = at + 7 < addresses.size() ? at + 7 : 0;
  });
}

double windowNs(uint64_t reordering) {
  ReplayWindow window;
  Random random(2);
  uint64_t counter = 10'000;
  return nanosecondsPer([&] {
    counter++;
    sink = sink + static_cast<int64_t>(window.accept(counter - (reordering == 0 ? 0 : random.below(reordering))));
  });
}

}  // namespace
}  // namespace overlay

int main() {
  using namespace overlay;
  std::printf("{\"allowed IPs, ns per look-up\": {\"v4, 10 prefixes\": %.1f, \"v4, 10,000 prefixes\": %.1f, "
              "\"v6, 10 prefixes\": %.1f, \"v6, 10,000 prefixes\": %.1f}, ",
              lookupNs(4, 10), lookupNs(4, 10'000), lookupNs(6, 10), lookupNs(6, 10'000));
  std::printf("\"replay window, ns per message\": {\"in order\": %.1f, \"reordered by up to 1,000\": %.1f}}\n",
              windowNs(0), windowNs(1'000));
  return 0;
}
