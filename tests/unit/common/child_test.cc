#include "common/process/child.h"

#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/match.h"
#include "common/base/file.h"
#include "tests/support/command.h"
#include "tests/support/status.h"

namespace tessera {
namespace {

constexpr absl::Duration kLong = absl::Minutes(1);

std::unique_ptr<Child> StartShell(const std::string& script,
                                  const std::string& log) {
  auto child = Child::Start({"/bin/sh", "-c", script}, log);
  REQUIRE_OK(child);
  return *std::move(child);
}

std::string NewLog() { return NewScratchFolder() + "/log"; }

void AwaitLog(const std::string& log, const std::string& words) {
  REQUIRE(Eventually(
      [&] { return absl::StrContains(ReadFile(log).value_or(""), words); }));
}

bool HasNoChildren() {
  return waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD;
}

TEST_CASE("endings are told in words") {
  REQUIRE(Describe({.exit_status = 0}) == "exit status 0");
  REQUIRE(Describe({.exit_status = 2}) == "exit status 2");
  REQUIRE(Describe({.signal = SIGKILL}) == "killed by signal 9 (SIGKILL)");
  REQUIRE(Describe({.signal = SIGSEGV}) == "killed by signal 11 (SIGSEGV)");
}

TEST_CASE("the exit status comes back, and stays") {
  const auto child = StartShell("exit 7", NewLog());
  const auto ending = child->WaitFor(kLong);
  REQUIRE(ending.has_value());
  REQUIRE(ending->exit_status == 7);
  REQUIRE(ending->signal == 0);
  REQUIRE(child->Ending()->exit_status == 7);
  REQUIRE(HasNoChildren());
}

TEST_CASE("a signal that kills is told from an exit status") {
  const auto child = StartShell("kill -KILL $$", NewLog());
  const auto ending = child->WaitFor(kLong);
  REQUIRE(ending.has_value());
  REQUIRE(Describe(*ending) == "killed by signal 9 (SIGKILL)");
}

TEST_CASE("both streams go to the log, after what is there") {
  const std::string log = NewLog();
  for (const char* script : {"echo one; echo two >&2", "echo three"}) {
    StartShell(script, log)->WaitFor(kLong);
  }
  REQUIRE(*ReadFile(log) == "one\ntwo\nthree\n");
}

TEST_CASE("a child reads nothing from the launcher's input") {
  const std::string log = NewLog();
  StartShell("cat; echo end", log)->WaitFor(kLong);
  REQUIRE(*ReadFile(log) == "end\n");
}

TEST_CASE("a running child has no ending, and waiting for it times out") {
  const auto child = StartShell("exec sleep 1000", NewLog());
  REQUIRE_FALSE(child->Ending().has_value());
  REQUIRE_FALSE(child->WaitFor(absl::Milliseconds(1)).has_value());
  REQUIRE_FALSE(child->WaitFor(absl::ZeroDuration()).has_value());
}

TEST_CASE("pid_fd tells of the end") {
  const auto child = StartShell("exec sleep 1000", NewLog());
  if (child->pid_fd() < 0) return;  // An old kernel.
  pollfd fd{.fd = child->pid_fd(), .events = POLLIN, .revents = 0};
  REQUIRE(poll(&fd, 1, 0) == 0);
  child->Signal(SIGKILL);
  REQUIRE(poll(&fd, 1, 60000) == 1);
  REQUIRE(child->WaitFor(kLong)->signal == SIGKILL);
}

TEST_CASE("no zombie stays behind, nor a living process") {
  pid_t pid;
  {
    const auto child = StartShell("exec sleep 1000", NewLog());
    pid = child->pid();
    REQUIRE(IsAlive(pid));
  }
  REQUIRE(kill(pid, 0) == -1);
  REQUIRE(errno == ESRCH);
  REQUIRE(HasNoChildren());
}

TEST_CASE("a child is in a process group of its own, out of Ctrl-C's reach") {
  const auto child = StartShell("exec sleep 1000", NewLog());
  REQUIRE(getpgid(child->pid()) == child->pid());
}

TEST_CASE("a child takes signals that its launcher has blocked") {
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  REQUIRE(sigprocmask(SIG_BLOCK, &blocked, &before) == 0);
  const auto child = StartShell("kill -TERM $$; exit 3", NewLog());
  const auto ending = child->WaitFor(kLong);
  sigprocmask(SIG_SETMASK, &before, nullptr);
  REQUIRE(ending->signal == SIGTERM);
}

TEST_CASE("a program that is not there is named") {
  REQUIRE_ERROR(Child::Start({"/nonexistent/program"}, NewLog()),
                absl::StatusCode::kNotFound, "/nonexistent/program");
}

TEST_CASE("a program that may not be run is named") {
  const std::string path = NewScratchFolder() + "/program";
  REQUIRE_OK(WriteFileAtomically(path, "text"));
  REQUIRE_ERROR(Child::Start({path}, NewLog()),
                absl::StatusCode::kPermissionDenied, path);
}

TEST_CASE("a log that cannot be written is named") {
  REQUIRE_ERROR(Child::Start({"/bin/true"}, "/nonexistent/log"),
                absl::StatusCode::kNotFound, "/nonexistent/log");
  REQUIRE(HasNoChildren());
}

TEST_CASE("a file that is no program says so in the log") {
  const std::string path = NewScratchFolder() + "/program";
  REQUIRE_OK(WriteFileAtomically(path, "\x01\x02"));
  REQUIRE(chmod(path.c_str(), 0755) == 0);
  const std::string log = NewLog();
  const auto child = Child::Start({path}, log);
  REQUIRE_OK(child);
  REQUIRE((*child)->WaitFor(kLong)->exit_status == 127);
  REQUIRE(absl::StrContains(*ReadFile(log), "cannot run " + path));
}

TEST_CASE("StopAll asks first and kills who does not listen") {
  const std::string log = NewLog();

  SECTION("one that listens may end in its own way") {
    const auto kind = StartShell(
        "trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done", log);
    AwaitLog(log, "ready");
    REQUIRE(StopAll({kind.get()}, kLong) == 0);
    REQUIRE(kind->Ending()->exit_status == 5);
    // Once more, when it has long gone.
    REQUIRE(StopAll({kind.get()}, kLong) == 0);
  }
  SECTION("one that does not is killed") {
    const auto deaf =
        StartShell("trap '' TERM; echo ready; exec sleep 1000", log);
    const auto quick = StartShell("exec sleep 1000", NewLog());
    AwaitLog(log, "ready");
    REQUIRE(StopAll({deaf.get()}, absl::Milliseconds(50)) == 1);
    REQUIRE(deaf->Ending()->signal == SIGKILL);
    REQUIRE(StopAll({deaf.get(), quick.get()}, kLong) == 0);
    REQUIRE(quick->Ending()->signal == SIGTERM);
  }
}

// A stand-in for the launcher: starts a child, tells its pid, waits for ever.
[[noreturn]] void BeLauncher(int pid_pipe) {
  auto child =
      Child::Start({"/bin/sleep", "1000"}, NewScratchFolder() + "/log");
  if (!child.ok()) _exit(1);
  const pid_t pid = (*child)->pid();
  if (write(pid_pipe, &pid, sizeof(pid)) != sizeof(pid)) _exit(1);
  while (true) pause();
}

TEST_CASE("a child dies with a launcher that is killed") {
  int fds[2];
  REQUIRE(pipe(fds) == 0);
  const pid_t launcher = fork();
  if (launcher == 0) BeLauncher(fds[1]);
  pid_t child = 0;
  REQUIRE(read(fds[0], &child, sizeof(child)) == sizeof(child));
  REQUIRE(kill(launcher, SIGKILL) == 0);
  REQUIRE(waitpid(launcher, nullptr, 0) == launcher);
  REQUIRE(Eventually([&] { return !IsAlive(child); }));
  close(fds[0]);
  close(fds[1]);
}

TEST_CASE("last lines are indented, blank ones left out") {
  REQUIRE(LastLines("", 3).empty());
  REQUIRE(LastLines("\n \n", 3).empty());
  REQUIRE(LastLines("a\n\nb\nc\n  d", 2) == "    c\n      d\n");
  REQUIRE(LastLines("a\n\nb\nc\n", 9) == "    a\n    b\n    c\n");
}

TEST_CASE("a log's tail is that of this child, not of those before") {
  const std::string log = NewLog();
  StartShell("echo earlier", log)->WaitFor(kLong);
  const auto child = StartShell("echo one; echo two; echo three", log);
  child->WaitFor(kLong);
  REQUIRE(child->LogTail(9) == "    one\n    two\n    three\n");
  REQUIRE(child->LogTail(1) == "    three\n");
  REQUIRE_OK(WriteFileAtomically(log, "cut"));
  REQUIRE(child->LogTail(9).empty());
  REQUIRE(unlink(log.c_str()) == 0);
  REQUIRE(child->LogTail(9).empty());
}

}  // namespace
}  // namespace tessera
