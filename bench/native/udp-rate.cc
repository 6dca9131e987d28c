// Sends UDP datagrams at a given rate from one network namespace to another and counts those that
// arrive. One process holds both sides: a socket stays in the namespace where it was opened.
//
//   udp-rate FROM_NAMESPACE TO_NAMESPACE IPV4_ADDRESS PAYLOAD_BYTES PACKETS_PER_SECOND SECONDS
//
// Prints {"sent":…,"received":…}. INVARIANT: it ends by itself, one second after the last datagram at
// the latest. Each datagram is a message of its own (no UDP_SEGMENT); the receiver naps between
// batches, so that the sink takes little of the cores that it shares with what is measured.
#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "../../native/core/unique-fd.h"

namespace overlay {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr size_t SEND_BURST = 32;
constexpr size_t RECEIVE_BATCH = 256;
constexpr size_t MAX_PAYLOAD_BYTES = 1472;
constexpr int RECEIVE_BUFFER_BYTES = 32 << 20;
constexpr auto NAP = std::chrono::microseconds(200);
constexpr auto SHORTEST_PAUSE = Seconds(50e-6);
// A sender that was kept from its core catches up this much; the rest of its lag is not sent at all.
constexpr double MAX_LAG_S = 0.002;
constexpr auto QUIET = std::chrono::milliseconds(150);
constexpr auto LAST_WAIT = std::chrono::seconds(1);

struct Plan {
  std::string from;
  std::string to;
  in_addr address = {};
  size_t payloadBytes = 0;
  double rate = 0;
  Seconds duration = Seconds(0);
};

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "udp-rate: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

void enter(const std::string& name) {
  const UniqueFd space(::open(("/var/run/netns/" + name).c_str(), O_RDONLY | O_CLOEXEC));
  if (!space.isOpen() || ::setns(space.get(), CLONE_NEWNET) != 0) fail(name.c_str());
}

UniqueFd openUdp() {
  UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.isOpen()) fail("socket");
  return socket;
}

// Bound to a free port, so that stragglers of an earlier run are not counted.
UniqueFd openReceiver(sockaddr_in* local) {
  UniqueFd socket = openUdp();
  const int bytes = RECEIVE_BUFFER_BYTES;
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0) fail("SO_RCVBUFFORCE");
  socklen_t size = sizeof *local;
  auto* address = reinterpret_cast<sockaddr*>(local);
  if (::bind(socket.get(), address, size) != 0) fail("bind");
  if (::getsockname(socket.get(), address, &size) != 0) fail("getsockname");
  return socket;
}

uint64_t sendAll(int socket, const Plan& plan) {
  std::vector<uint8_t> payload(plan.payloadBytes, 0x55);
  iovec part{payload.data(), payload.size()};
  std::array<mmsghdr, SEND_BURST> messages{};
  for (mmsghdr& message : messages) {
    message.msg_hdr.msg_iov = &part;
    message.msg_hdr.msg_iovlen = 1;
  }
  uint64_t sent = 0;
  double skipped = 0;
  const auto begin = Clock::now();
  for (;;) {
    const Seconds elapsed = Clock::now() - begin;
    if (elapsed >= plan.duration) return sent;
    double due = elapsed.count() * plan.rate - static_cast<double>(sent) - skipped;
    const double maxDue = std::max(plan.rate * MAX_LAG_S, 1.0);
    if (due > maxDue) {
      skipped += due - maxDue;
      due = maxDue;
    }
    if (due < 1) {
      std::this_thread::sleep_for(std::max(Seconds((1 - due) / plan.rate), SHORTEST_PAUSE));
      continue;
    }
    const auto count = static_cast<unsigned>(std::min(due, static_cast<double>(SEND_BURST)));
    const int done = ::sendmmsg(socket, messages.data(), count, 0);
    // A stray "port unreachable" or a full queue is loss like any other.
    if (done < 0 && errno != ECONNREFUSED && errno != ENOBUFS && errno != EINTR) fail("sendmmsg");
    sent += static_cast<uint64_t>(std::max(done, 1));
  }
}

uint64_t receiveAll(int socket, const std::atomic<bool>& isSent) {
  std::vector<uint8_t> bytes(RECEIVE_BATCH * MAX_PAYLOAD_BYTES);
  std::vector<iovec> parts(RECEIVE_BATCH);
  std::vector<mmsghdr> messages(RECEIVE_BATCH);
  for (size_t i = 0; i < RECEIVE_BATCH; i++) {
    parts[i] = {bytes.data() + i * MAX_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  uint64_t received = 0;
  auto last = Clock::now();
  auto end = Clock::time_point::max();
  for (;;) {
    const int count = ::recvmmsg(socket, messages.data(), RECEIVE_BATCH, MSG_DONTWAIT, nullptr);
    if (count < 0 && errno != EAGAIN && errno != EINTR) fail("recvmmsg");
    const auto now = Clock::now();
    if (count > 0) {
      received += static_cast<uint64_t>(count);
      last = now;
    }
    if (isSent.load() && end == Clock::time_point::max()) end = now + LAST_WAIT;
    if (now >= end || (isSent.load() && now - last >= QUIET)) return received;
    if (count < static_cast<int>(RECEIVE_BATCH)) std::this_thread::sleep_for(NAP);
  }
}

Plan readPlan(char** words) {
  Plan plan;
  plan.from = words[0];
  plan.to = words[1];
  const bool isAddress = ::inet_pton(AF_INET, words[2], &plan.address) == 1;
  plan.payloadBytes = std::strtoul(words[3], nullptr, 10);
  plan.rate = std::strtod(words[4], nullptr);
  plan.duration = Seconds(std::strtod(words[5], nullptr));
  errno = EINVAL;
  if (!isAddress) fail(words[2]);
  if (plan.payloadBytes < 1 || plan.payloadBytes > MAX_PAYLOAD_BYTES) fail(words[3]);
  if (plan.rate < 1) fail(words[4]);
  if (plan.duration <= Seconds(0) || plan.duration > Seconds(60)) fail(words[5]);
  return plan;
}

void run(const Plan& plan) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr = plan.address;
  enter(plan.to);
  const UniqueFd receiver = openReceiver(&address);
  enter(plan.from);
  const UniqueFd sender = openUdp();
  if (::connect(sender.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("connect");
  // The pauses of both threads are far below the usual slack of timers.
  if (::prctl(PR_SET_TIMERSLACK, 1UL) != 0) fail("PR_SET_TIMERSLACK");

  std::atomic<bool> isSent{false};
  uint64_t received = 0;
  std::thread sink([&] { received = receiveAll(receiver.get(), isSent); });
  const uint64_t sent = sendAll(sender.get(), plan);
  isSent = true;
  sink.join();
  std::printf("{\"sent\":%" PRIu64 ",\"received\":%" PRIu64 "}\n", sent, received);
}

}  // namespace
}  // namespace overlay

int main(int count, char** words) {
  if (count != 7) {
    std::fprintf(stderr, "usage: udp-rate FROM TO ADDRESS PAYLOAD_BYTES PACKETS_PER_SECOND SECONDS\n");
    return 2;
  }
  overlay::run(overlay::readPlan(words + 1));
  return 0;
}
