// Child processes of a program.

#ifndef TESSERA_COMMON_PROCESS_CHILD_H_
#define TESSERA_COMMON_PROCESS_CHILD_H_

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace tessera {

// How a process ended.
struct ChildEnding {
  int exit_status = 0;
  int signal = 0;  // 0 unless a signal killed it.
};

// "exit status 1", "killed by signal 9 (SIGKILL)".
std::string Describe(const ChildEnding& ending);

// The last `count` lines of `text` that are not blank, each indented.
std::string LastLines(absl::string_view text, int count);

// One child: in a process group of its own, so that a terminal's Ctrl-C does
// not reach it, and killed by the kernel when the parent dies. Killed and
// reaped when the object goes. For the main thread only, which must live as
// long as the process: the kernel ties children to the thread that started
// them.
class Child {
 public:
  // Starts `argv[0]` (a path) with both output streams appended to `log_path`.
  // Codes: what errno maps to, naming the file. A file that only the kernel
  // finds unfit to run gives a child that ends with status 127, saying so in
  // its log.
  static absl::StatusOr<std::unique_ptr<Child>> Start(
      const std::vector<std::string>& argv, const std::string& log_path);

  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  const std::string& log_path() const { return log_path_; }
  // LastLines of what this child has logged.
  std::string LogTail(int count) const;
  // Readable once the process has ended; for poll. -1 on kernels without pidfd
  // (before 5.3), which poll takes for one that is never readable.
  int pid_fd() const { return pid_fd_; }

  void Signal(int signal) const;

  // How it ended; nothing while it runs.
  std::optional<ChildEnding> Ending();

  // Waits for the end, up to `timeout`.
  std::optional<ChildEnding> WaitFor(absl::Duration timeout);

 private:
  Child(pid_t pid, int pid_fd, std::string log_path, size_t log_begin);

  const pid_t pid_;
  const int pid_fd_;
  const std::string log_path_;
  const size_t log_begin_;  // Where its own lines begin, in bytes.
  std::optional<ChildEnding> ending_;
};

// Waits until one of them has ended, for `timeout` (and a minute) at most; may
// return sooner.
void AwaitAnyEnding(const std::vector<Child*>& children,
                    absl::Duration timeout);

// Asks all to end with SIGTERM, and kills those that have not after `grace`.
// Returns how many had to be killed.
int StopAll(const std::vector<Child*>& children, absl::Duration grace);

}  // namespace tessera

#endif  // TESSERA_COMMON_PROCESS_CHILD_H_
