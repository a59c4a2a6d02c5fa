#include "tests/simulation/recovery/worker_process.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"

namespace tessera {
namespace {

constexpr int64_t kRepeatUs = 30'000;
constexpr int64_t kRenewUs = 300'000;

}  // namespace

WorkerProcess::WorkerProcess(Cluster& cluster, int number,
                             int64_t microbatch_us)
    : cluster_(cluster), microbatch_us_(microbatch_us) {
  place = kFirstWorker + number;
}

void WorkerProcess::Later(int64_t delay_us, std::function<void()> event) {
  cluster_.wire.In(Self(), delay_us,
                   [this, era = era_, event = std::move(event)] {
                     if (era == era_) event();
                   });
}

void WorkerProcess::Join() {
  ++era_;
  ++membership_;
  requests_ = 0;
  gives_up_last_ = false;
  cluster_.wire.Call<WorkerId, ServerProcess>(
      Self(), 0, Server(0),
      [](ServerProcess& server, auto done) { server.Join(std::move(done)); },
      [this](absl::StatusOr<WorkerId> id) {
        if (id.ok()) {
          id_ = *id;
          RenewSoon(membership_);
          Ask();
          return;
        }
        const auto server = cluster_.ServerOf(0);
        // The real handler's FAILED_PRECONDITION.
        if (server != nullptr && server->coordinator() != nullptr &&
            server->coordinator()->ended()) {
          ended_ = true;
          return;
        }
        Later(kRepeatUs, [this] { Join(); });
      });
}

void WorkerProcess::RenewSoon(int membership) {
  cluster_.wire.In(Self(), kRenewUs, [this, membership] {
    if (membership != membership_ || ended_) return;
    cluster_.wire.Call<bool, ServerProcess>(
        Self(), 0, Server(0),
        [id = id_, generation = generation_](ServerProcess& server, auto done) {
          server.Renew(id, generation, std::move(done));
        },
        [this, membership](absl::StatusOr<bool> recall) {
          if (membership == membership_) Renewed(recall);
        });
    RenewSoon(membership);
  });
}

void WorkerProcess::Renewed(const absl::StatusOr<bool>& recall) {
  if (absl::IsNotFound(recall.status())) return Join();
  if (recall.ok() && *recall && waits_for_blocks_) GiveUp();
}

void WorkerProcess::GiveUp() {
  gives_up_last_ = true;
  Ask();
}

void WorkerProcess::Ask() {
  ++era_;
  waits_for_blocks_ = false;
  int64_t have = proven_version_;
  for (const auto& [version, blocks] : held_) {
    if (Holds(version)) have = std::max(have, version);
  }
  const WorkReport report{.have_version = have,
                          .microbatch_seconds = measured_seconds_,
                          .gives_up_last = std::exchange(gives_up_last_, false),
                          .request_number = ++requests_,
                          .generation = generation_};
  // Repeated as it is until it is answered.
  auto send = std::make_shared<std::function<void()>>();
  *send = [this, report, era = era_,
           weak = std::weak_ptr<std::function<void()>>(send)] {
    const auto again = weak.lock();
    cluster_.wire.Call<WorkReply, ServerProcess>(
        Self(), 0, Server(0),
        [id = id_, report](ServerProcess& server, auto done) {
          server.GetWork(id, report, std::move(done));
        },
        [this, era, again](absl::StatusOr<WorkReply> reply) {
          if (era != era_) return;
          if (absl::IsUnavailable(reply.status())) {
            return Later(kRepeatUs, [again] { (*again)(); });
          }
          Answered(reply);
        });
  };
  (*send)();
}

void WorkerProcess::Answered(const absl::StatusOr<WorkReply>& reply) {
  if (absl::IsNotFound(reply.status())) return Join();
  if (!reply.ok()) return cluster_.Complain(reply.status().ToString());
  ++era_;
  Enter(reply->generation);
  work_ = reply->grant;
  if (std::holds_alternative<EndGrant>(work_)) {
    ended_ = true;
    return;
  }
  if (std::holds_alternative<NoGrant>(work_)) {
    return Later(kRepeatUs, [this] { GiveUp(); });
  }
  if (generation_ == 0) {
    return cluster_.Complain("work was granted while servers were not ready");
  }
  FetchAll();
}

void WorkerProcess::Enter(int64_t generation) {
  if (generation == generation_) return;
  ++calls_;
  held_.clear();
  proven_version_ = -1;
  generation_ = generation;
}

int64_t WorkerProcess::Version() const {
  const auto* train = std::get_if<TrainGrant>(&work_);
  return train != nullptr ? train->step
                          : std::get<EvaluateGrant>(work_).version;
}

bool WorkerProcess::IsToRepeat(const absl::Status& status, int64_t era) {
  if (absl::IsUnavailable(status)) return true;
  if (absl::IsAborted(status)) {
    if (era == era_ && waits_for_blocks_) GiveUp();
  } else if (absl::IsOutOfRange(status)) {
    if (era == era_ && waits_for_blocks_) FellBehind();
  } else {
    cluster_.Complain(status.ToString());
  }
  return false;
}

void WorkerProcess::FellBehind() {
  proven_version_ = std::max(proven_version_, Version() + 1);
  ++calls_;
  GiveUp();
}

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
