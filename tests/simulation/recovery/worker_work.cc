// What a worker process does with a piece of work: fetches blocks, computes,
// pushes or reports.

#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "absl/types/span.h"
#include "tests/simulation/recovery/worker_process.h"

namespace tessera {
namespace {

constexpr int64_t kRepeatUs = 30'000;

}  // namespace

void WorkerProcess::FetchAll() {
  waits_for_blocks_ = true;
  // The board has room for two versions.
  while (!held_.empty() && held_.begin()->first < Version() - 1) {
    held_.erase(held_.begin());
  }
  for (int block = 0; block < cluster_.plan.block_count(); ++block) {
    if (!held_[Version()].contains(block)) Fetch(block, era_);
  }
  LookWhetherComplete();
}

void WorkerProcess::Fetch(int block, int64_t era) {
  if (era != era_) return;
  const int shard = cluster_.plan.ShardOfBlock(block);
  cluster_.wire.Call<BlockVersion, ServerProcess>(
      Self(), shard, Server(shard),
      [block, version = Version(), generation = generation_](
          ServerProcess& server, auto done) {
        server.Pull(block, version, generation, std::move(done));
      },
      [this, block, era, calls = calls_](absl::StatusOr<BlockVersion> version) {
        if (calls != calls_) return;
        if (version.ok()) return Came(*version);
        if (IsToRepeat(version.status(), era)) {
          Later(kRepeatUs, [this, block, era] { Fetch(block, era); });
        }
      });
}

void WorkerProcess::Came(const BlockVersion& block) {
  // Its memory is the server's still, which may have gone on or back since.
  cluster_.CheckBlock(block);
  held_[block.version].insert(block.block);
  if (waits_for_blocks_) LookWhetherComplete();
}

bool WorkerProcess::Holds(int64_t version) const {
  const auto found = held_.find(version);
  return found != held_.end() &&
         static_cast<int>(found->second.size()) == cluster_.plan.block_count();
}

void WorkerProcess::LookWhetherComplete() {
  if (!waits_for_blocks_ || !Holds(Version())) return;
  waits_for_blocks_ = false;
  Compute();
}

void WorkerProcess::Compute() {
  const auto* train = std::get_if<TrainGrant>(&work_);
  if (train == nullptr) {
    return Later(microbatch_us_, [this] { Score(); });
  }
  const int64_t total_us = microbatch_us_ * train->range.size();
  measured_seconds_ = static_cast<double>(microbatch_us_) * 1e-6;
  Later(total_us, [this, work = *train] {
    const auto gradient = std::make_shared<const std::vector<float>>(
        cluster_.reference.Gradient(work.step, work.range));
    for (int block = cluster_.plan.block_count() - 1; block >= 0; --block) {
      Push({.block = block,
            .step = work.step,
            .range = work.range,
            .worker = id_,
            .loss_sum = cluster_.reference.LossSum(work.step, work.range),
            .generation = generation_},
           gradient, calls_);
    }
    Ask();
  });
}

void WorkerProcess::Push(
    const Contribution& contribution,
    const std::shared_ptr<const std::vector<float>>& gradient, int calls) {
  const int shard = cluster_.plan.ShardOfBlock(contribution.block);
  cluster_.wire.Call<BlockVersion, ServerProcess>(
      Self(), shard, Server(shard),
      [contribution, gradient,
       elements = cluster_.plan.BlockElements(contribution.block)](
          ServerProcess& server, auto done) {
        server.PushPull(contribution,
                        absl::MakeConstSpan(*gradient).subspan(
                            static_cast<size_t>(elements.begin),
                            static_cast<size_t>(elements.size())),
                        std::move(done));
      },
      [=, this](absl::StatusOr<BlockVersion> version) {
        if (calls != calls_) return;
        if (version.ok()) return Came(*version);
        // That the version after is no longer held says nothing against it.
        if (absl::IsOutOfRange(version.status())) return;
        if (IsToRepeat(version.status(), -1)) {
          cluster_.wire.In(Self(), kRepeatUs, [=, this] {
            if (calls == calls_) Push(contribution, gradient, calls);
          });
        }
      });
}

void WorkerProcess::Score() {
  cluster_.wire.Call<bool, ServerProcess>(
      Self(), 0, Server(0),
      [id = id_, generation = generation_,
       work = std::get<EvaluateGrant>(work_)](ServerProcess& server,
                                              auto done) {
        server.Report(id, generation, work, std::move(done));
      },
      [this, era = era_](absl::StatusOr<bool> taken) {
        if (era != era_) return;
        if (taken.ok()) return Ask();
        if (absl::IsNotFound(taken.status())) return Join();
        if (absl::IsUnavailable(taken.status())) {
          return Later(kRepeatUs, [this] { Score(); });
        }
        cluster_.Complain(taken.status().ToString());
      });
}

}  // namespace tessera
