#include "netlink-message.h"

#include <algorithm>

namespace overlay {
namespace {

void advance(ByteView& rest, size_t length) {
  const size_t step = std::min<size_t>(NLMSG_ALIGN(length), rest.size);
  rest.data += step;
  rest.size -= step;
}

}  // namespace

NetlinkMessage::NetlinkMessage(const char* label, uint16_t type, uint16_t flags) : label_(label) {
  nlmsghdr header{};
  header.nlmsg_type = type;
  header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
  put(header);
}

NetlinkMessage& NetlinkMessage::putAttribute(uint16_t type, ByteView value) {
  rtattr header{};
  header.rta_type = type;
  header.rta_len = static_cast<uint16_t>(RTA_LENGTH(value.size));
  append({reinterpret_cast<const uint8_t*>(&header), sizeof(header)});
  append(value);
  return *this;
}

NetlinkMessage& NetlinkMessage::putUint32(uint16_t type, uint32_t value) {
  return putAttribute(type, {reinterpret_cast<const uint8_t*>(&value), sizeof(value)});
}

NetlinkMessage& NetlinkMessage::putText(uint16_t type, const std::string& value) {
  return putAttribute(type, {reinterpret_cast<const uint8_t*>(value.c_str()), value.size() + 1});
}

ByteView NetlinkMessage::encode(uint32_t sequence) {
  nlmsghdr header{};
  std::memcpy(&header, bytes_.data(), sizeof(header));
  header.nlmsg_len = static_cast<uint32_t>(bytes_.size());
  header.nlmsg_seq = sequence;
  std::memcpy(bytes_.data(), &header, sizeof(header));
  return {bytes_.data(), bytes_.size()};
}

void NetlinkMessage::append(ByteView bytes) {
  const size_t at = bytes_.size();
  bytes_.resize(NLMSG_ALIGN(at + bytes.size));
  if (bytes.size > 0) std::memcpy(bytes_.data() + at, bytes.data, bytes.size);
}

std::optional<NetlinkView> takeMessage(ByteView& rest) {
  const std::optional<nlmsghdr> header = readStruct<nlmsghdr>(rest);
  if (!header || header->nlmsg_len < sizeof(nlmsghdr) || header->nlmsg_len > rest.size) return std::nullopt;
  const NetlinkView message{*header, {rest.data + sizeof(nlmsghdr), header->nlmsg_len - sizeof(nlmsghdr)}};
  advance(rest, header->nlmsg_len);
  return message;
}

std::optional<AttributeView> takeAttribute(ByteView& rest) {
  const std::optional<rtattr> header = readStruct<rtattr>(rest);
  if (!header || header->rta_len < sizeof(rtattr) || header->rta_len > rest.size) return std::nullopt;
  // The two high bits of a type are flags (nested, byte order), not part of its number.
  const AttributeView attribute{static_cast<uint16_t>(header->rta_type & NLA_TYPE_MASK),
                                {rest.data + sizeof(rtattr), header->rta_len - sizeof(rtattr)}};
  advance(rest, header->rta_len);
  return attribute;
}

uint32_t readUint32(ByteView value) { return readStruct<uint32_t>(value).value_or(0); }

std::string readText(ByteView value) {
  const uint8_t* const end = std::find(value.data, value.data + value.size, uint8_t{0});
  return std::string(value.data, end);
}

}  // namespace overlay
