// What a worker keeps over its memberships: the job, its data and the memory.

#ifndef TESSERA_WORKER_TRAIN_WORKSHOP_H_
#define TESSERA_WORKER_TRAIN_WORKSHOP_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/device/device.h"
#include "common/job/job.h"
#include "common/plan/shard_plan.h"
#include "common/shm/shared_region.h"
#include "common/shm/shm_use.h"
#include "tessera/v1/coordinator.pb.h"
#include "worker/data/dataset.h"
#include "worker/train/block_board.h"
#include "worker/train/gradient_pool.h"

namespace tessera {

struct WorkshopOptions {
  int servers = 0;
  // Replaces the directory that the job names; may be empty.
  std::string data_dir;
  // Of gradients, with servers on the same machine.
  ShmUse shared_memory = ShmUse::kAuto;
  // What computes. May be null; must outlive the workshop.
  Device* device = nullptr;
};

// The board and the pool are as thread-safe as they say; the rest is for the
// thread that works.
struct Workshop {
  const WorkshopOptions options;
  const Job job;
  const ShardPlan plan;
  const std::unique_ptr<const DataSet> data;
  BlockBoard board;
  // That the board's versions were fetched in.
  int64_t generation = 0;
  // Where gradients lie; null when they are not shared.
  std::shared_ptr<SharedRegion> region;
  GradientPool pool;

  // For the job that was joined. Codes: FAILED_PRECONDITION when this build
  // reads the job differently, or when --shared_memory=on and no memory can be
  // shared; INVALID_ARGUMENT for a number of servers that is not the job's; the
  // data set's.
  static absl::StatusOr<std::unique_ptr<Workshop>> Create(
      const v1::JoinResponse& joined, WorkshopOptions options);

  // Another region, and gradients from there, if a client had to detach the one
  // there was. Whether that was so. Code: as Create.
  absl::StatusOr<bool> RenewRegion();

 private:
  Workshop(WorkshopOptions o, Job j, ShardPlan p, std::unique_ptr<DataSet> d);
  absl::Status MakeRegion();
};

}  // namespace tessera

#endif  // TESSERA_WORKER_TRAIN_WORKSHOP_H_
