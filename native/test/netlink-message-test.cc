#include "../core/netlink-message.h"

#include <random>

#include "../core/addresses.h"
#include "../core/links.h"
#include "../core/routes.h"
#include "../core/rules.h"
#include "suites.h"

namespace overlay {
namespace {

std::vector<uint8_t> linkMessage() {
  ifinfomsg body{};
  body.ifi_index = 7;
  NetlinkMessage message("RTM_NEWLINK", RTM_NEWLINK, 0);
  message.put(body).putText(IFLA_IFNAME, "wg0").putUint32(IFLA_MTU, 1420);
  const ByteView bytes = message.encode(9);
  return {bytes.data, bytes.data + bytes.size};
}

ByteView viewOf(const std::vector<uint8_t>& bytes) { return {bytes.data(), bytes.size()}; }

void readsWhatItBuilt() {
  const std::vector<uint8_t> bytes = linkMessage();
  ByteView rest = viewOf(bytes);
  const std::optional<NetlinkView> message = takeMessage(rest);
  check(message && message->header.nlmsg_seq == 9 && message->header.nlmsg_type == RTM_NEWLINK, "the header back");
  check(rest.size == 0, "nothing behind the message");
  const std::optional<LinkInfo> link = parseLink(message->body);
  check(link && link->index == 7 && link->name == "wg0" && link->mtu == 1420, "the link back");
}

void alignsAttributes() {
  NetlinkMessage message("RTM_NEWLINK", RTM_NEWLINK, 0);
  message.put(ifinfomsg{}).putText(IFLA_IFNAME, "abcd").putUint32(IFLA_MTU, 1);
  const ByteView bytes = message.encode(1);
  // header 16, struct 16, name 4 + 5 padded to 12, MTU 8
  check(bytes.size == 16 + 16 + 12 + 8, "attributes on 4-byte bounds");
}

void refusesImpossibleLengths() {
  std::vector<uint8_t> bytes = linkMessage();
  for (const uint32_t length : {0u, 15u, 0xffffffffu, static_cast<uint32_t>(bytes.size()) + 1}) {
    std::memcpy(bytes.data(), &length, sizeof(length));
    ByteView rest = viewOf(bytes);
    check(!takeMessage(rest), "a message of impossible length refused");
  }
}

void refusesImpossibleAttributes() {
  for (const uint16_t length : {uint16_t{0}, uint16_t{3}, uint16_t{9}, uint16_t{0xffff}}) {
    std::vector<uint8_t> bytes(8);
    std::memcpy(bytes.data(), &length, sizeof(length));
    ByteView rest = viewOf(bytes);
    check(!takeAttribute(rest), "an attribute of impossible length refused");
  }
}

void parseEverything(ByteView body) {
  parseLink(body);
  parseAddress(body);
  parseRoutes(body);
  parseRule(body);
}

// A heap block of exactly the right size lets the sanitizer see a read of one byte too many.
void survivesEveryTruncation() {
  const std::vector<uint8_t> whole = linkMessage();
  for (size_t size = 0; size <= whole.size(); size++) {
    const std::vector<uint8_t> part(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
    ByteView rest = viewOf(part);
    check(takeMessage(rest).has_value() == (size == whole.size()), "only the whole message taken");
    parseEverything(viewOf(part));
  }
}

void survivesRandomBytes() {
  std::mt19937 random(1);
  std::uniform_int_distribution<int> anyByte(0, 255);
  std::uniform_int_distribution<size_t> anySize(0, 200);
  for (int round = 0; round < 20000; round++) {
    std::vector<uint8_t> bytes(anySize(random));
    // Small values make plausible lengths and types, so that the readers get deep.
    for (size_t i = 0; i < bytes.size(); i++) {
      bytes[i] = static_cast<uint8_t>(round % 2 == 0 ? anyByte(random) : anyByte(random) % 20);
    }
    if (round % 4 == 1 && bytes.size() > 8) bytes[0] = bytes[0] % 2 == 0 ? AF_INET : AF_INET6;
    if (round % 4 == 1 && bytes.size() > 8) bytes[7] = RTN_UNICAST;
    ByteView rest = viewOf(bytes);
    while (const std::optional<NetlinkView> message = takeMessage(rest)) parseEverything(message->body);
    parseEverything(viewOf(bytes));
  }
}

void ignoresLinksOfOtherFamilies() {
  ifinfomsg body{};
  body.ifi_family = AF_BRIDGE;
  body.ifi_index = 7;
  check(!parseLink({reinterpret_cast<const uint8_t*>(&body), sizeof(body)}), "a bridge port's message ignored");
}

}  // namespace

std::vector<Test> netlinkMessageTests() {
  return {
      {"a netlink message reads back as it was built", readsWhatItBuilt},
      {"netlink attributes are aligned", alignsAttributes},
      {"a netlink message of impossible length is refused", refusesImpossibleLengths},
      {"a netlink attribute of impossible length is refused", refusesImpossibleAttributes},
      {"every truncation of a netlink message is survived", survivesEveryTruncation},
      {"random netlink bytes are survived", survivesRandomBytes},
      {"a bridge's message about a link is not taken for the link's", ignoresLinksOfOtherFamilies},
  };
}

}  // namespace overlay
