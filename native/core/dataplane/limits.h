// Numbers that the data plane shares with TypeScript, which owns them: src/wireguard/constants.ts,
// src/dataplane/drop-reasons.ts and peer-block.ts. The addon exports them, and they are compared when it
// loads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>

namespace overlay {

constexpr uint32_t MESSAGE_TRANSPORT = 4;
constexpr size_t TRANSPORT_HEADER_BYTES = 16;
constexpr size_t TAG_BYTES = 16;
constexpr size_t KEEPALIVE_BYTES = TRANSPORT_HEADER_BYTES + TAG_BYTES;
constexpr size_t PADDING_BYTES = 16;

constexpr uint64_t REKEY_AFTER_MESSAGES = 1ULL << 60;
constexpr uint64_t REJECT_AFTER_MESSAGES = UINT64_MAX - (1ULL << 13);
constexpr double REKEY_AFTER_TIME_MS = 120'000;
constexpr double REJECT_AFTER_TIME_MS = 180'000;
constexpr double REKEY_ON_RECEIVE_MS = 165'000;
constexpr double KEEPALIVE_TIMEOUT_MS = 10'000;
constexpr uint64_t REPLAY_WINDOW_COUNTERS = 8192;
constexpr size_t MAX_STAGED_PACKETS = 128;
// Before the messages of a frame: room for the header that TypeScript writes.
constexpr size_t FRAME_HEADROOM_BYTES = 64;

// Why something was dropped: index of a drop counter.
enum class Drop : uint32_t {
  malformedDatagram,
  unknownReceiver,
  keypairExpired,
  authenticationFailed,
  replayed,
  malformedPacket,
  sourceNotAllowed,
  noAllowedIp,
  noPath,
  stagedOverflow,
  handshakeFailed,
  innerWriteFailed,
  outerSendFailed,
  controlOverflow,
  frameOverflow,
  routingLoop,
};
struct DropName {
  Drop reason;
  const char* name;
};
// In the order of their numbers. TypeScript compares the names.
constexpr DropName DROP_NAMES[] = {
    {Drop::malformedDatagram, "malformedDatagram"},
    {Drop::unknownReceiver, "unknownReceiver"},
    {Drop::keypairExpired, "keypairExpired"},
    {Drop::authenticationFailed, "authenticationFailed"},
    {Drop::replayed, "replayed"},
    {Drop::malformedPacket, "malformedPacket"},
    {Drop::sourceNotAllowed, "sourceNotAllowed"},
    {Drop::noAllowedIp, "noAllowedIp"},
    {Drop::noPath, "noPath"},
    {Drop::stagedOverflow, "stagedOverflow"},
    {Drop::handshakeFailed, "handshakeFailed"},
    {Drop::innerWriteFailed, "innerWriteFailed"},
    {Drop::outerSendFailed, "outerSendFailed"},
    {Drop::controlOverflow, "controlOverflow"},
    {Drop::frameOverflow, "frameOverflow"},
    {Drop::routingLoop, "routingLoop"},
};
constexpr size_t DROP_REASONS = std::size(DROP_NAMES);

// Fields of a peer's block, in doubles.
constexpr size_t BLOCK_FIELDS = 48;
enum class Field : size_t {
  txBytes = 0,
  txMessages = 1,
  rxBytes = 2,
  rxMessages = 3,
  lastSendMs = 4,
  lastDataSendMs = 5,
  firstUnansweredSendMs = 6,
  lastReceiveMs = 7,
  lastDataReceiveMs = 8,
  firstUnansweredReceiveMs = 9,
  sendCounter = 10,
  // One for each reason, to the end of the block.
  drops = 16,
};

constexpr bool areDropsInOrder() {
  for (size_t i = 0; i < DROP_REASONS; i++) {
    if (static_cast<size_t>(DROP_NAMES[i].reason) != i) return false;
  }
  return true;
}
static_assert(areDropsInOrder(), "a drop's number is its place in DROP_NAMES");
static_assert(static_cast<size_t>(Field::drops) + DROP_REASONS <= BLOCK_FIELDS,
              "a drop counter beyond the block would write into the next one");

}  // namespace overlay
