// Policy rules over NETLINK_ROUTE: which packets look into which table.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "byte-view.h"
#include "result.h"

namespace overlay {

struct Rule {
  // AF_INET or AF_INET6.
  uint8_t family = 0;
  std::optional<uint32_t> priority;
  std::optional<uint32_t> mark;
  std::optional<uint32_t> mask;
  // True: the rule holds for packets that do not match.
  bool isInverted = false;
  uint32_t table = 0;
  // Routes of the table with so short a prefix, or shorter, are passed over.
  std::optional<uint32_t> suppressPrefixLength;
};

// Body of RTM_NEWRULE; nothing for rules that do not look into a table.
std::optional<Rule> parseRule(ByteView body);

Result<void> addRule(const Rule& rule);
Result<void> removeRule(const Rule& rule);
Result<std::vector<Rule>> listRules(uint8_t family);

}  // namespace overlay
