// overlay-guard: the parent of a daemon in the background. It starts the daemon with no more privileges than it
// needs, runs the administrator's hooks for it with all of them, and starts it again after a crash.
//
//   overlay-guard [--once] [--file-access] -- START... [-- UNDO... -- HOOKS...]
//
// START is the daemon. UNDO puts the host back as it was after a crash. HOOKS, with the name of a phase behind it,
// runs the hooks of that phase. With --once nothing is guarded: the daemon takes this process's place.
//
// The daemon has two sockets of ours. 3: on which it reports its first start to the command (src/daemon/
// start-report.ts). 4: lines to and from the guard (src/daemon/guard.ts). Its requests: "ready", "hooks PHASE",
// "cancel"; the answer to "hooks" is "done EXITCODE". Environment: OVERLAY_GUARD is the guard's process number;
// OVERLAY_RESTARTED says how the daemon before this one ended, if there was one. For UNDO, OVERLAY_ENDING says that no
// daemon follows.
//
// A daemon that ends by itself with code 0, or was never up, is not started again. SIGTERM ends both.
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../core/unique-fd.h"
#include "privileges.h"
#include "restart-delay.h"

namespace overlay {
namespace {

using Words = std::vector<std::string>;

constexpr int kReportFd = 3;
constexpr int kGuardFd = 4;
constexpr int kCannotExecute = 127;
constexpr int kUsage = 2;
constexpr size_t kMaxRequest = 64;
// Hooks may take their time; so may what undoes them.
constexpr int64_t kUndoLimitMs = 120'000;
// For hooks that nobody waits for. Their helper ends them by force well before this (src/platform/processes.ts).
constexpr int64_t kGiveUpLimitMs = 10'000;
constexpr int64_t kNever = INT64_MAX;

struct Options {
  bool isOnce = false;
  bool keepsFileAccess = false;
  Words start;
  Words undo;
  Words hooks;
};

int64_t nowMs() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

[[noreturn]] void execute(const Words& words) {
  std::vector<char*> argv;
  for (const auto& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  execv(argv[0], argv.data());
  _exit(kCannotExecute);
}

[[noreturn]] void executeDaemon(const Options& options) {
  if (!dropPrivileges(options.keepsFileAccess)) _exit(kCannotExecute);
  execute(options.start);
}

std::string describeEnd(int status) {
  if (WIFSIGNALED(status)) return "ended by signal " + std::to_string(WTERMSIG(status));
  return "ended with exit code " + std::to_string(WEXITSTATUS(status));
}

// Ends as the daemon did: whoever started us wants to know.
[[noreturn]] void endLike(int status) {
  if (WIFSIGNALED(status)) {
    sigset_t all;
    sigfillset(&all);
    signal(WTERMSIG(status), SIG_DFL);
    raise(WTERMSIG(status));
    sigprocmask(SIG_UNBLOCK, &all, nullptr);
  }
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE);
}

// What the command was started with, a lock of a script for example, is not to be held as long as the daemon lives.
void closeDescriptorsFrom(int first) {
  if (syscall(SYS_close_range, static_cast<unsigned>(first), ~0u, 0u) == 0) return;
  for (int fd = first; fd < static_cast<int>(sysconf(_SC_OPEN_MAX)); fd++) close(fd);
}

class Guard {
 public:
  explicit Guard(Options options) : options_(std::move(options)) {}

  int run() {
    blockSignals();
    fcntl(kReportFd, F_SETFD, FD_CLOEXEC);
    setenv("OVERLAY_GUARD", std::to_string(getpid()).c_str(), 1);
    startDaemon();
    // The command must see its end when the daemon goes. The number stays taken: a socket that got it would be handed
    // to the next daemon.
    const UniqueFd nothing(open("/dev/null", O_RDWR | O_CLOEXEC));
    if (dup3(nothing.get(), kReportFd, O_CLOEXEC) < 0) _exit(kCannotExecute);
    for (;;) {
      waitForEvent();
      if (daemon_ == 0 && helper_ == 0 && !isWaiting()) afterEnd();
    }
  }

 private:
  bool isWaiting() const { return restartAtMs_ != kNever; }

  void blockSignals() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int number : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, number);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    signals_ = UniqueFd(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals_.isOpen()) _exit(kCannotExecute);
    signal(SIGPIPE, SIG_IGN);
  }

  // In the child: as if nobody had touched its signals.
  static void resetSignals() {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    signal(SIGPIPE, SIG_DFL);
  }

  void startDaemon() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return retryLater();
    UniqueFd ours(ends[0]);
    UniqueFd theirs(ends[1]);
    const pid_t pid = fork();
    if (pid < 0) return retryLater();
    if (pid == 0) {
      resetSignals();
      fcntl(kReportFd, F_SETFD, 0);
      // dup2 onto itself would keep close-on-exec.
      if (theirs.get() == kGuardFd)
        fcntl(kGuardFd, F_SETFD, 0);
      else
        dup2(theirs.get(), kGuardFd);
      executeDaemon(options_);
    }
    fcntl(ours.get(), F_SETFL, O_NONBLOCK);
    daemon_ = pid;
    channel_ = std::move(ours);
    request_.clear();
    readyAtMs_ = 0;
  }

  // No process or descriptor to be had: as after a crash.
  void retryLater() {
    if (!wasReady_) _exit(kCannotExecute);
    restartAtMs_ = nowMs() + delay_.next(0);
  }

  // False if there was no process to be had. `isForDaemon`: ends with this process.
  bool startHelper(const Words& words, bool isForDaemon) {
    const pid_t pid = fork();
    if (pid > 0) helper_ = pid;
    if (pid != 0) return pid > 0;
    resetSignals();
    if (isForDaemon) prctl(PR_SET_PDEATHSIG, SIGTERM);
    execute(words);
  }

  void endHelper() {
    if (helper_ == 0) return;
    kill(helper_, SIGTERM);
    killHelperAtMs_ = std::min(killHelperAtMs_, nowMs() + kGiveUpLimitMs);
  }

  void waitForEvent() {
    pollfd fds[2] = {{signals_.get(), POLLIN, 0}, {channel_.get(), POLLIN, 0}};
    const int64_t untilMs = std::min(restartAtMs_, killHelperAtMs_);
    const int64_t leftMs = untilMs == kNever ? -1 : std::max<int64_t>(untilMs - nowMs(), 0);
    poll(fds, channel_.isOpen() ? 2 : 1, static_cast<int>(leftMs));
    // What the daemon said last is read before its end is noticed.
    if (channel_.isOpen() && fds[1].revents != 0) readRequests();
    readSignals();
    if (nowMs() >= restartAtMs_) {
      restartAtMs_ = kNever;
      startDaemon();
    }
    if (nowMs() >= killHelperAtMs_ && helper_ != 0) {
      killHelperAtMs_ = kNever;
      kill(helper_, SIGKILL);
    }
  }

  void readSignals() {
    signalfd_siginfo info{};
    while (read(signals_.get(), &info, sizeof info) == sizeof info) {
      if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) end();
    }
    int status = 0;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
      if (pid == daemon_)
        handleDaemonEnd(status);
      else if (pid == helper_)
        handleHelperEnd(status);
    }
  }

  void end() {
    isEnding_ = true;
    restartAtMs_ = kNever;
    if (daemon_ != 0) kill(daemon_, SIGTERM);
  }

  void readRequests() {
    char bytes[kMaxRequest];
    const ssize_t length = read(channel_.get(), bytes, sizeof bytes);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (length <= 0) return channel_.reset();
    request_.append(bytes, static_cast<size_t>(length));
    for (size_t end; channel_.isOpen() && (end = request_.find('\n')) != std::string::npos;) {
      handleRequest(request_.substr(0, end));
      request_.erase(0, end + 1);
    }
    if (request_.size() > kMaxRequest) channel_.reset();
  }

  void handleRequest(const std::string& request) {
    constexpr std::string_view kHooks = "hooks ";
    if (request == "ready" && readyAtMs_ == 0) {
      readyAtMs_ = nowMs();
      wasReady_ = true;
    } else if (request == "cancel") {
      endHelper();
    } else if (request.rfind(kHooks, 0) == 0 && helper_ == 0) {
      const std::string phase = request.substr(kHooks.size());
      const bool isWord = std::all_of(phase.begin(), phase.end(), [](unsigned char c) { return std::isalpha(c); });
      if (!isWord) return channel_.reset();
      Words words = options_.hooks;
      words.push_back(phase);
      if (!startHelper(words, true)) answer(kCannotExecute);
    }
  }

  void answer(int exitCode) {
    const std::string line = "done " + std::to_string(exitCode) + "\n";
    if (channel_.isOpen()) send(channel_.get(), line.data(), line.size(), MSG_NOSIGNAL);
  }

  void handleHelperEnd(int status) {
    helper_ = 0;
    killHelperAtMs_ = kNever;
    answer(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  }

  void handleDaemonEnd(int status) {
    daemon_ = 0;
    end_ = status;
    channel_.reset();
    isUndone_ = WIFEXITED(status) && (WEXITSTATUS(status) == 0 || !wasReady_);
    endHelper();  // hooks that nobody waits for
  }

  // The daemon has gone and nothing else runs.
  void afterEnd() {
    if (!isUndone_) {
      isUndone_ = true;
      if (isEnding_ || !wasReady_) setenv("OVERLAY_ENDING", "1", 1);
      if (startHelper(options_.undo, false)) {
        killHelperAtMs_ = nowMs() + kUndoLimitMs;
        return;
      }
    }
    const bool isOrdered = WIFEXITED(end_) && WEXITSTATUS(end_) == 0;
    if (isEnding_ || isOrdered || !wasReady_) endLike(end_);
    setenv("OVERLAY_RESTARTED", describeEnd(end_).c_str(), 1);
    restartAtMs_ = nowMs() + delay_.next(readyAtMs_ == 0 ? 0 : nowMs() - readyAtMs_);
  }

  const Options options_;
  RestartDelay delay_;
  UniqueFd signals_;
  UniqueFd channel_;
  std::string request_;
  // 0: none. A helper runs hooks, or undoes what a crashed daemon left.
  pid_t daemon_ = 0;
  pid_t helper_ = 0;
  // How the last daemon ended.
  int end_ = 0;
  bool isUndone_ = true;
  bool isEnding_ = false;
  // Some daemon was up.
  bool wasReady_ = false;
  // Of the daemon there is; 0 until it is up.
  int64_t readyAtMs_ = 0;
  int64_t restartAtMs_ = kNever;
  int64_t killHelperAtMs_ = kNever;
};

// False if the words are not as described above.
bool parse(int argc, char** argv, Options& options) {
  int i = 1;
  for (; i < argc && std::strcmp(argv[i], "--") != 0; i++) {
    const std::string_view word = argv[i];
    if (word == "--once")
      options.isOnce = true;
    else if (word == "--file-access")
      options.keepsFileAccess = true;
    else
      return false;
  }
  Words* const parts[] = {&options.start, &options.undo, &options.hooks};
  Words* part = nullptr;
  size_t begun = 0;
  for (; i < argc; i++) {
    if (std::strcmp(argv[i], "--") != 0) {
      if (part == nullptr) return false;
      part->push_back(argv[i]);
    } else if (begun < std::size(parts)) {
      part = parts[begun++];
    } else {
      return false;
    }
  }
  const bool isGuarding = !options.undo.empty() && !options.hooks.empty();
  return !options.start.empty() && isGuarding != options.isOnce;
}

}  // namespace
}  // namespace overlay

int main(int argc, char** argv) {
  overlay::Options options;
  if (!overlay::parse(argc, argv, options)) {
    std::fputs("overlay-guard: started by overlay itself, not by hand\n", stderr);
    return overlay::kUsage;
  }
  overlay::forbidCoreFiles();
  // Of the hook of another daemon, if that is where the command runs.
  for (const char* name : {"OVERLAY_GUARD", "OVERLAY_RESTARTED", "OVERLAY_ENDING"}) unsetenv(name);
  overlay::closeDescriptorsFrom(overlay::kReportFd + 1);
  if (options.isOnce) overlay::executeDaemon(options);
  return overlay::Guard(std::move(options)).run();
}
