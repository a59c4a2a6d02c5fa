#include "tests/support/command.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/base/check.h"
#include "common/base/file.h"

namespace tessera {
namespace {

constexpr absl::Duration kLookInterval = absl::Milliseconds(5);

struct ProcessStat {
  char state = '?';
  pid_t parent = 0;
};

// From /proc/PID/stat: "pid (name) state parent ...".
std::optional<ProcessStat> StatOf(pid_t pid) {
  const auto text = ReadFile(absl::StrCat("/proc/", pid, "/stat"));
  if (!text.ok()) return std::nullopt;
  const size_t close = text->rfind(')');
  if (close == std::string::npos) return std::nullopt;
  const std::vector<std::string> fields =
      absl::StrSplit(text->substr(close + 2), ' ');
  ProcessStat stat;
  stat.state = fields[0][0];
  if (!absl::SimpleAtoi(fields[1], &stat.parent)) return std::nullopt;
  return stat;
}

std::map<pid_t, ProcessStat> AllProcesses() {
  std::map<pid_t, ProcessStat> processes;
  DIR* folder = opendir("/proc");
  TESSERA_CHECK(folder != nullptr);
  while (const dirent* entry = readdir(folder)) {
    pid_t pid;
    if (!absl::SimpleAtoi(entry->d_name, &pid)) continue;
    if (const auto stat = StatOf(pid)) processes[pid] = *stat;
  }
  closedir(folder);
  return processes;
}

[[noreturn]] void Exec(const std::vector<std::string>& argv,
                       const std::string& output_path) {
  setpgid(0, 0);
  // A test that is killed runs no destructors.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int out = open(output_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  const int null = open("/dev/null", O_RDONLY);
  dup2(null, 0);
  dup2(out, 1);
  dup2(out, 2);
  std::vector<char*> arguments;
  for (const std::string& argument : argv) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  execv(arguments[0], arguments.data());
  _exit(127);
}

}  // namespace

Command::Command(const std::vector<std::string>& argv, std::string output_path)
    : output_path_(std::move(output_path)) {
  pid_ = fork();
  TESSERA_CHECK(pid_ >= 0);
  if (pid_ == 0) Exec(argv, output_path_);
  // In both processes, so that it is done when either goes on.
  setpgid(pid_, pid_);
}

Command::~Command() {
  if (ending_) return;
  kill(-pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void Command::Signal(int signal) const { kill(pid_, signal); }

std::optional<Ending> Command::Wait(absl::Duration timeout) {
  Eventually(
      [this] {
        if (ending_) return true;
        int status = 0;
        if (waitpid(pid_, &status, WNOHANG) != pid_) return false;
        ending_ = WIFEXITED(status) ? Ending{.exit_status = WEXITSTATUS(status)}
                                    : Ending{.signal = WTERMSIG(status)};
        return true;
      },
      timeout);
  return ending_;
}

std::string Command::Output() const {
  return ReadFile(output_path_).value_or("");
}

std::vector<pid_t> Descendants(pid_t pid, const std::string& part) {
  const std::map<pid_t, ProcessStat> processes = AllProcesses();
  std::set<pid_t> family = {pid};
  std::vector<pid_t> found;
  for (bool grew = true; grew;) {
    grew = false;
    for (const auto& [child, stat] : processes) {
      if (!family.contains(stat.parent) || family.contains(child)) continue;
      family.insert(child);
      grew = true;
      const auto line = ReadFile(absl::StrCat("/proc/", child, "/cmdline"));
      if (stat.state != 'Z' && line.ok() &&
          line->find(part) != std::string::npos) {
        found.push_back(child);
      }
    }
  }
  return found;
}

bool IsAlive(pid_t pid) {
  const auto stat = StatOf(pid);
  return stat && stat->state != 'Z';
}

std::string NewScratchFolder() {
  const char* base = std::getenv("TEST_TMPDIR");
  std::string path =
      absl::StrCat(base == nullptr ? "/tmp" : base, "/tessera.XXXXXX");
  TESSERA_CHECK(mkdtemp(path.data()) != nullptr);
  return path;
}

bool Eventually(const std::function<bool()>& condition,
                absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(kLookInterval);
  }
  return true;
}

}  // namespace tessera
