#include "worker/bench/step_board.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/file.h"

namespace tessera::bench {
namespace {

// So that a wake-up that was missed delays a run and does not end it.
constexpr absl::Duration kLongestSleep = absl::Milliseconds(100);

void WakeAll(std::atomic<uint32_t>& word) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE, INT_MAX,
          nullptr, nullptr, 0);
}

// Unless the word is another by now.
void SleepWhile(std::atomic<uint32_t>& word, uint32_t value,
                absl::Duration timeout) {
  const timespec time = absl::ToTimespec(std::min(timeout, kLongestSleep));
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT, value,
          &time, nullptr, 0);
}

}  // namespace

size_t StepBoard::Bytes(int workers, int blocks) {
  return kHeadBytes + static_cast<size_t>(workers) *
                          static_cast<size_t>(blocks) * sizeof(Cell);
}

absl::Status StepBoard::Create(const std::string& path, int workers,
                               int blocks) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
                      S_IRUSR | S_IWUSR);
  if (fd < 0) return ErrnoStatus(absl::StrCat("cannot make ", path));
  absl::Status status;
  if (ftruncate(fd, static_cast<off_t>(Bytes(workers, blocks))) != 0) {
    status = ErrnoStatus(absl::StrCat("cannot size ", path));
  }
  close(fd);
  return status;
}

absl::StatusOr<std::unique_ptr<StepBoard>> StepBoard::Open(
    const std::string& path, int workers, int blocks) {
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(absl::StrCat("cannot open ", path));
  const size_t bytes = Bytes(workers, blocks);
  struct stat info {};
  if (fstat(fd, &info) != 0 || static_cast<size_t>(info.st_size) != bytes) {
    close(fd);
    return absl::InvalidArgumentError(
        absl::StrCat(path, " has not the ", bytes, " bytes for ", workers,
                     " workers and ", blocks, " blocks"));
  }
  void* memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  const int error = errno;
  close(fd);
  errno = error;
  if (memory == MAP_FAILED) {
    return ErrnoStatus(absl::StrCat("cannot map ", path));
  }
  return std::unique_ptr<StepBoard>(new StepBoard(memory, workers, blocks));
}

StepBoard::StepBoard(void* memory, int workers, int blocks)
    : head_(static_cast<Head*>(memory)),
      cells_(reinterpret_cast<Cell*>(static_cast<char*>(memory) + kHeadBytes)),
      workers_(workers),
      blocks_(blocks) {}

StepBoard::~StepBoard() { munmap(head_, Bytes(workers_, blocks_)); }

void StepBoard::Advance(int worker, int block, int64_t next_step) {
  cell(worker, block).store(next_step);
  ++head_->changes;
  if (head_->sleepers > 0) WakeAll(head_->changes);
}

bool StepBoard::AllReached(int block, int64_t next_step) const {
  for (int w = 0; w < workers_; ++w) {
    if (cell(w, block).load() < next_step) return false;
  }
  return true;
}

bool StepBoard::AwaitAll(int block, int64_t next_step,
                         absl::Duration timeout) const {
  const absl::Time deadline = absl::Now() + timeout;
  ++head_->sleepers;
  while (true) {
    const uint32_t seen = head_->changes;
    const bool reached = AllReached(block, next_step);
    const absl::Duration left = deadline - absl::Now();
    if (reached || left <= absl::ZeroDuration()) {
      --head_->sleepers;
      return reached;
    }
    SleepWhile(head_->changes, seen, left);
  }
}

}  // namespace tessera::bench
