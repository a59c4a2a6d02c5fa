// How far each worker's pushes have got, in memory that all workers of a run
// share.
//
// A push is acknowledged before its step is complete, so nothing that comes
// from a server tells a worker when it may push the next step of a block: only
// the other workers' acknowledgements do. In training the coordinator sees to
// that; here, where nothing else should be measured, a word per worker and
// block does.

#ifndef TESSERA_WORKER_BENCH_STEP_BOARD_H_
#define TESSERA_WORKER_BENCH_STEP_BOARD_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace tessera::bench {

// Thread-safe, also between processes.
class StepBoard {
 public:
  // Makes the file, all zero. Codes: what errno maps to.
  static absl::Status Create(const std::string& path, int workers, int blocks);

  // Opens a file that Create made with the same numbers. Codes: what errno maps
  // to; INVALID_ARGUMENT for another size.
  static absl::StatusOr<std::unique_ptr<StepBoard>> Open(
      const std::string& path, int workers, int blocks);

  ~StepBoard();
  StepBoard(const StepBoard&) = delete;
  StepBoard& operator=(const StepBoard&) = delete;

  // The worker's gradients of this block are counted for all steps below
  // `next_step`, which never falls.
  void Advance(int worker, int block, int64_t next_step);

  // Whether every worker has come so far on this block.
  bool AllReached(int block, int64_t next_step) const;

  // Waits for AllReached, for `timeout` at most. Whether it holds.
  bool AwaitAll(int block, int64_t next_step, absl::Duration timeout) const;

 private:
  struct Head {
    // Changes with every Advance; what AwaitAll sleeps on.
    std::atomic<uint32_t> changes;
    std::atomic<uint32_t> sleepers;
  };
  using Cell = std::atomic<int64_t>;
  static constexpr size_t kHeadBytes = 64;  // A cache line.

  StepBoard(void* memory, int workers, int blocks);
  static size_t Bytes(int workers, int blocks);
  Cell& cell(int worker, int block) const {
    return cells_[static_cast<size_t>(worker) * static_cast<size_t>(blocks_) +
                  static_cast<size_t>(block)];
  }

  Head* const head_;
  Cell* const cells_;
  const int workers_;
  const int blocks_;
};

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_STEP_BOARD_H_
