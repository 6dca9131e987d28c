#include "rules.h"

#include <linux/fib_rules.h>
#include <sys/socket.h>

#include "netlink-socket.h"

namespace overlay {
namespace {

// What the kernel says for "no prefix is suppressed".
constexpr uint32_t NONE_SUPPRESSED = UINT32_MAX;

Result<void> change(NetlinkMessage message, const Rule& rule) {
  fib_rule_hdr body{};
  body.family = rule.family;
  body.action = FR_ACT_TO_TBL;
  body.table = rule.table < 256 ? static_cast<uint8_t>(rule.table) : uint8_t{RT_TABLE_UNSPEC};
  body.flags = rule.isInverted ? FIB_RULE_INVERT : 0u;
  message.put(body);
  message.putUint32(FRA_TABLE, rule.table);
  if (rule.priority) message.putUint32(FRA_PRIORITY, *rule.priority);
  if (rule.mark) message.putUint32(FRA_FWMARK, *rule.mark);
  if (rule.mask) message.putUint32(FRA_FWMASK, *rule.mask);
  if (rule.suppressPrefixLength) message.putUint32(FRA_SUPPRESS_PREFIXLEN, *rule.suppressPrefixLength);
  return changeOnce(message);
}

}  // namespace

std::optional<Rule> parseRule(ByteView body) {
  const std::optional<fib_rule_hdr> fixed = readStruct<fib_rule_hdr>(body);
  if (!fixed || fixed->action != FR_ACT_TO_TBL) return std::nullopt;
  Rule rule;
  rule.family = fixed->family;
  rule.table = fixed->table;
  rule.isInverted = (fixed->flags & FIB_RULE_INVERT) != 0;
  // The kernel leaves priority 0 out.
  rule.priority = 0;
  forEachAttribute(body, sizeof(fib_rule_hdr), [&](const AttributeView& attribute) {
    const uint32_t value = readUint32(attribute.value);
    if (attribute.type == FRA_PRIORITY) rule.priority = value;
    if (attribute.type == FRA_TABLE) rule.table = value;
    if (attribute.type == FRA_FWMARK) rule.mark = value;
    if (attribute.type == FRA_FWMASK) rule.mask = value;
    if (attribute.type == FRA_SUPPRESS_PREFIXLEN && value != NONE_SUPPRESSED) rule.suppressPrefixLength = value;
  });
  return rule;
}

Result<void> addRule(const Rule& rule) {
  return change(NetlinkMessage("RTM_NEWRULE", RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL), rule);
}

Result<void> removeRule(const Rule& rule) { return change(NetlinkMessage("RTM_DELRULE", RTM_DELRULE, 0), rule); }

Result<std::vector<Rule>> listRules(uint8_t family) {
  fib_rule_hdr body{};
  body.family = family;
  NetlinkMessage message("RTM_GETRULE", RTM_GETRULE, NLM_F_DUMP);
  message.put(body);
  Result<std::vector<NetlinkReply>> replies = requestOnce(message);
  if (!replies.ok()) return replies.error();
  std::vector<Rule> rules;
  for (const NetlinkReply& reply : replies.value()) {
    const std::optional<Rule> rule = parseRule(reply.view());
    if (rule && rule->family == family) rules.push_back(*rule);
  }
  return rules;
}

}  // namespace overlay
