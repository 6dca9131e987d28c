#include "../core/unix-socket.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "suites.h"

namespace overlay {
namespace {

constexpr int TIMEOUT_MS = 2000;

std::string uniqueName(const char* what) { return std::string("@overlay-test-") + what + std::to_string(getpid()); }

// A pipe's two ends, to prove which descriptor arrived.
std::pair<UniqueFd, UniqueFd> openPipe() {
  int ends[2] = {-1, -1};
  check(::pipe2(ends, O_CLOEXEC) == 0, "a pipe");
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

void checkPassed(int from, int to) {
  std::pair<UniqueFd, UniqueFd> ends = openPipe();
  checkOk(sendFd(from, ends.second.get()));
  Result<UniqueFd> received = receiveFd(to, TIMEOUT_MS);
  checkOk(received);
  ends.second.reset();
  check(::write(received.value().get(), "x", 1) == 1, "a descriptor that can be written");
  char byte = 0;
  check(::read(ends.first.get(), &byte, 1) == 1 && byte == 'x', "the byte at the other end");
  check((fcntl(received.value().get(), F_GETFD) & FD_CLOEXEC) != 0, "a descriptor that is not inherited");
}

UniqueFd listenDatagrams(const std::string& name) {
  UniqueFd receiver(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data() + 1, name.size() - 1);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  check(::bind(receiver.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0, "an abstract name");
  return receiver;
}

void passesOverPair() {
  Result<std::pair<UniqueFd, UniqueFd>> pair = openUnixPair();
  checkOk(pair);
  checkPassed(pair.value().first.get(), pair.value().second.get());
  checkPassed(pair.value().second.get(), pair.value().first.get());
}

void passesOverName() {
  const std::string name = uniqueName("fd");
  Result<UniqueFd> listener = listenUnix(name);
  checkOk(listener);
  checkFails(listenUnix(name), EADDRINUSE);
  Result<UniqueFd> client = connectUnix(name, TIMEOUT_MS);
  checkOk(client);
  Result<UniqueFd> server = acceptUnix(listener.value().get(), TIMEOUT_MS);
  checkOk(server);
  checkPassed(client.value().get(), server.value().get());
}

void boundsItsWaits() {
  Result<std::pair<UniqueFd, UniqueFd>> pair = openUnixPair();
  checkOk(pair);
  checkFails(receiveFd(pair.value().first.get(), 1), ETIMEDOUT);
  Result<UniqueFd> listener = listenUnix(uniqueName("wait"));
  checkOk(listener);
  checkFails(acceptUnix(listener.value().get(), 1), ETIMEDOUT);
}

// Calls until it fails; more often than any queue is long.
template <typename Call>
void checkEndsWith(int code, Call call) {
  for (int i = 0; i < 10000; i++) {
    const Result<void> result = call();
    if (!result.ok()) return checkFails(result, code);
  }
  check(false, "a queue that gets full");
}

void boundsItsSending() {
  Result<std::pair<UniqueFd, UniqueFd>> pair = openUnixPair();
  checkOk(pair);
  checkEndsWith(EAGAIN, [&] { return sendFd(pair.value().first.get(), 0); });

  const std::string name = uniqueName("full");
  const UniqueFd receiver = listenDatagrams(name);
  checkEndsWith(ETIMEDOUT, [&] { return sendUnixDatagram(name, "x", 1); });
}

void boundsItsConnecting() {
  const std::string name = uniqueName("queue");
  Result<UniqueFd> listener = listenUnix(name);
  checkOk(listener);
  std::vector<UniqueFd> clients;
  checkEndsWith(ETIMEDOUT, [&]() -> Result<void> {
    Result<UniqueFd> client = connectUnix(name, 1);
    if (!client.ok()) return client.error();
    clients.push_back(std::move(client.value()));
    return {};
  });
}

// A profiler's timer interrupts every wait; each must end all the same. The handler stays: a signal may be delivered
// after the timer was stopped, under valgrind long after, and without one it would end the program.
void boundsItsWaitsUnderSignals() {
  struct sigaction ignore {};
  ignore.sa_handler = [](int) {};
  sigaction(SIGALRM, &ignore, nullptr);
  const itimerval often{{0, 500}, {0, 500}};
  const itimerval never{};
  setitimer(ITIMER_REAL, &often, nullptr);
  Result<UniqueFd> listener = listenUnix(uniqueName("signals"));
  checkOk(listener);
  checkFails(acceptUnix(listener.value().get(), 20), ETIMEDOUT);
  const std::string name = uniqueName("signals-full");
  const UniqueFd receiver = listenDatagrams(name);
  checkEndsWith(ETIMEDOUT, [&] { return sendUnixDatagram(name, "x", 20); });
  setitimer(ITIMER_REAL, &never, nullptr);
}

void tellsClosedFromForeign() {
  Result<std::pair<UniqueFd, UniqueFd>> pair = openUnixPair();
  checkOk(pair);
  check(::send(pair.value().first.get(), "hello", 5, 0) == 5, "plain bytes sent");
  checkFails(receiveFd(pair.value().second.get(), TIMEOUT_MS), EBADMSG);
  pair.value().first.reset();
  checkFails(receiveFd(pair.value().second.get(), TIMEOUT_MS), ECONNRESET);
  checkFails(sendFd(pair.value().second.get(), 0), EPIPE);
}

// Two descriptors at once: neither may stay open.
void leavesNoForeignFd() {
  Result<std::pair<UniqueFd, UniqueFd>> pair = openUnixPair();
  checkOk(pair);
  const int fds[2] = {0, 1};
  uint8_t byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) uint8_t control[CMSG_SPACE(sizeof(fds))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* const item = CMSG_FIRSTHDR(&message);
  item->cmsg_level = SOL_SOCKET;
  item->cmsg_type = SCM_RIGHTS;
  item->cmsg_len = CMSG_LEN(sizeof(fds));
  std::memcpy(CMSG_DATA(item), fds, sizeof(fds));
  check(::sendmsg(pair.value().first.get(), &message, 0) == 1, "two descriptors sent");
  checkFails(receiveFd(pair.value().second.get(), TIMEOUT_MS), EBADMSG);
}

void notifies() {
  const std::string name = uniqueName("notify");
  const UniqueFd receiver = listenDatagrams(name);
  checkOk(sendUnixDatagram(name, "READY=1", TIMEOUT_MS));
  char text[32] = {};
  check(::recv(receiver.get(), text, sizeof(text), MSG_DONTWAIT) == 7 && std::string(text) == "READY=1", "READY=1");
}

void refusesBadPaths() {
  checkFails(connectUnix(std::string(108, 'x'), TIMEOUT_MS), ENAMETOOLONG);
  checkFails(connectUnix("", TIMEOUT_MS), ENAMETOOLONG);
  checkFails(connectUnix(std::string("/a\0b", 4), TIMEOUT_MS), EINVAL);
  checkFails(connectUnix("/nonexistent/socket", TIMEOUT_MS), ENOENT);
  checkFails(sendUnixDatagram("/nonexistent/socket", "x", TIMEOUT_MS), ENOENT);
}

}  // namespace

std::vector<Test> unixSocketTests() {
  return {
      {"a descriptor passes over a socket pair both ways", passesOverPair},
      {"a descriptor passes over a named socket", passesOverName},
      {"waiting for a descriptor or a connection is bounded", boundsItsWaits},
      {"sending a descriptor or a datagram is bounded", boundsItsSending},
      {"connecting is bounded", boundsItsConnecting},
      {"signals prolong no wait", boundsItsWaitsUnderSignals},
      {"a closed socket and foreign bytes are told apart", tellsClosedFromForeign},
      {"two descriptors at once are refused and closed", leavesNoForeignFd},
      {"a datagram reaches an abstract name", notifies},
      {"paths that cannot be are refused", refusesBadPaths},
  };
}

}  // namespace overlay
