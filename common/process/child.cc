#include "common/process/child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace tessera {
namespace {

// As shells say of a program that cannot be run.
constexpr int kExitCannotRun = 127;
// How long one poll may last: an endless wait must fit its int, and without a
// pid_fd nothing wakes it.
constexpr absl::Duration kPollMax = absl::Minutes(1);
constexpr absl::Duration kPollMaxWithoutFd = absl::Milliseconds(10);

// Into the log, which is this process's stderr by now.
void SayCannotRun(const char* program) {
  const char* reason = strerrordesc_np(errno);
  for (const char* part :
       {"cannot run ", program, ": ", reason == nullptr ? "?" : reason, "\n"}) {
    if (write(STDERR_FILENO, part, strlen(part)) < 0) return;
  }
}

// In the child, between fork and exec: async-signal-safe calls only, because
// other threads of the parent may have held locks.
[[noreturn]] void BecomeProgram(char* const* argv, int log_fd, int null_fd,
                                pid_t parent) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The parent may have died before the line above.
  if (getppid() != parent) _exit(kExitCannotRun);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  dup2(null_fd, STDIN_FILENO);
  dup2(log_fd, STDOUT_FILENO);
  dup2(log_fd, STDERR_FILENO);
  execv(argv[0], argv);
  SayCannotRun(argv[0]);
  _exit(kExitCannotRun);
}

int OpenPidFd(pid_t pid) {
  return static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
}

}  // namespace

std::string Describe(const ChildEnding& ending) {
  if (ending.signal == 0) {
    return absl::StrCat("exit status ", ending.exit_status);
  }
  const char* name = sigabbrev_np(ending.signal);
  return absl::StrCat("killed by signal ", ending.signal, " (SIG",
                      name == nullptr ? "?" : name, ")");
}

std::string LastLines(absl::string_view text, int count) {
  std::vector<absl::string_view> lines =
      absl::StrSplit(text, '\n', absl::SkipWhitespace());
  const size_t first =
      lines.size() - std::min(lines.size(), static_cast<size_t>(count));
  std::string result;
  for (size_t i = first; i < lines.size(); ++i) {
    absl::StrAppend(&result, "    ", lines[i], "\n");
  }
  return result;
}

absl::StatusOr<std::unique_ptr<Child>> Child::Start(
    const std::vector<std::string>& argv, const std::string& log_path) {
  if (access(argv[0].c_str(), X_OK) != 0) {
    return ErrnoStatus(absl::StrCat("cannot run ", argv[0]));
  }
  std::vector<char*> arguments;
  for (const std::string& argument : argv) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  const int log_fd =
      open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (log_fd < 0) return ErrnoStatus(absl::StrCat("cannot open ", log_path));
  const off_t log_end = lseek(log_fd, 0, SEEK_END);
  const int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) BecomeProgram(arguments.data(), log_fd, null_fd, parent);
  const int fork_error = errno;
  close(log_fd);
  close(null_fd);
  if (pid < 0) {
    errno = fork_error;
    return ErrnoStatus(absl::StrCat("cannot start ", argv[0]));
  }
  // In both processes, so that it is done when either goes on.
  setpgid(pid, pid);
  return std::unique_ptr<Child>(
      new Child(pid, OpenPidFd(pid), log_path,
                static_cast<size_t>(std::max(log_end, off_t{0}))));
}

Child::Child(pid_t pid, int pid_fd, std::string log_path, size_t log_begin)
    : pid_(pid),
      pid_fd_(pid_fd),
      log_path_(std::move(log_path)),
      log_begin_(log_begin) {}

Child::~Child() {
  if (!ending_) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  if (pid_fd_ >= 0) close(pid_fd_);
}

std::string Child::LogTail(int count) const {
  const std::string log = ReadFile(log_path_).value_or("");
  return LastLines(absl::ClippedSubstr(log, log_begin_), count);
}

void Child::Signal(int signal) const {
  // A process that was reaped may have lent its number to another.
  if (!ending_) kill(pid_, signal);
}

std::optional<ChildEnding> Child::Ending() {
  if (ending_) return ending_;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
  ending_ = WIFEXITED(status) ? ChildEnding{.exit_status = WEXITSTATUS(status)}
                              : ChildEnding{.signal = WTERMSIG(status)};
  return ending_;
}

std::optional<ChildEnding> Child::WaitFor(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (!Ending()) {
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) return std::nullopt;
    AwaitAnyEnding({this}, left);
  }
  return ending_;
}

void AwaitAnyEnding(const std::vector<Child*>& children,
                    absl::Duration timeout) {
  std::vector<pollfd> fds;
  for (const Child* child : children) {
    fds.push_back({.fd = child->pid_fd(), .events = POLLIN, .revents = 0});
    timeout =
        std::min(timeout, child->pid_fd() < 0 ? kPollMaxWithoutFd : kPollMax);
  }
  poll(fds.data(), fds.size(),
       static_cast<int>(absl::ToInt64Milliseconds(timeout)) + 1);
}

int StopAll(const std::vector<Child*>& children, absl::Duration grace) {
  for (Child* child : children) child->Signal(SIGTERM);
  const absl::Time deadline = absl::Now() + grace;
  int killed = 0;
  for (Child* child : children) {
    const absl::Duration left =
        std::max(deadline - absl::Now(), absl::ZeroDuration());
    if (child->WaitFor(left)) continue;
    child->Signal(SIGKILL);
    child->WaitFor(absl::InfiniteDuration());
    ++killed;
  }
  return killed;
}

}  // namespace tessera
