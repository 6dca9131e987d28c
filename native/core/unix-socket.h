// Unix sockets: passing descriptors from process to process (SCM_RIGHTS), and single datagrams such as
// systemd's readiness notification. A path that begins with `@` is an abstract name.
// Waits are bounded by a timeout in milliseconds, however many signals arrive meanwhile, and report
// ETIMEDOUT.
#pragma once

#include <string>
#include <utility>

#include "result.h"
#include "unique-fd.h"

namespace overlay {

// Two connected ends, for instance one for a child process.
Result<std::pair<UniqueFd, UniqueFd>> openUnixPair();
// The path must not exist. Who may connect is decided by the directory it is in.
Result<UniqueFd> listenUnix(const std::string& path);
Result<UniqueFd> acceptUnix(int listener, int timeoutMs);
// Waits while the listener's queue is full.
Result<UniqueFd> connectUnix(const std::string& path, int timeoutMs);

// Passes a copy of `fd`; the caller keeps its own. EAGAIN if the other side takes none.
Result<void> sendFd(int socket, int fd);
// ECONNRESET if the other side closed, EBADMSG if it sent something else.
Result<UniqueFd> receiveFd(int socket, int timeoutMs);

// Waits while the receiver's queue is full.
Result<void> sendUnixDatagram(const std::string& path, const std::string& text, int timeoutMs);

}  // namespace overlay
