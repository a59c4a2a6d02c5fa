// Real processes under test: started, watched, killed.

#ifndef TESSERA_TESTS_SUPPORT_COMMAND_H_
#define TESSERA_TESTS_SUPPORT_COMMAND_H_

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace tessera {

// How a process ended: with an exit status, or killed by a signal.
struct Ending {
  int exit_status = -1;
  int signal = 0;
};

// One child process with its output (both streams) in a file. Killed, with its
// process group, when the object goes. Not thread-safe.
class Command {
 public:
  // Starts `argv` in a process group of its own. The output goes to
  // `output_path`.
  Command(const std::vector<std::string>& argv, std::string output_path);
  ~Command();
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  pid_t pid() const { return pid_; }
  void Signal(int signal) const;

  // Waits for the end; nothing when it has not come by `timeout`, which is only
  // there to end a test that hangs.
  std::optional<Ending> Wait(absl::Duration timeout = absl::Minutes(4));

  // What it has printed so far.
  std::string Output() const;

 private:
  const std::string output_path_;
  pid_t pid_ = -1;
  std::optional<Ending> ending_;
};

// Process ids of the living descendants of `pid` whose command line contains
// `part`.
std::vector<pid_t> Descendants(pid_t pid, const std::string& part);

// Whether the process exists and is no zombie.
bool IsAlive(pid_t pid);

// A new empty folder in the test's scratch space.
std::string NewScratchFolder();

// Looks at `condition` every few milliseconds until it holds; false after
// `timeout`, which is only there to end a test that hangs. For watching other
// processes, which offer nothing to wait on.
bool Eventually(const std::function<bool()>& condition,
                absl::Duration timeout = absl::Minutes(2));

}  // namespace tessera

#endif  // TESSERA_TESTS_SUPPORT_COMMAND_H_
