#include "server/service/shard_agent.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "server/checkpoint/manifest.h"
#include "server/checkpoint/writer.h"
#include "server/service/set_source.h"

namespace tessera {
namespace {

constexpr int64_t kWaitMs = 2000;
// Between attempts to reach the coordinator.
constexpr absl::Duration kFirstPause = absl::Milliseconds(50);
constexpr absl::Duration kLongestPause = absl::Seconds(1);

absl::Duration PauseAfter(int failures) {
  return std::min(kFirstPause * (1 << std::min(failures - 1, 10)),
                  kLongestPause);
}

std::string Text(const absl::Status& status) {
  return std::string(status.message());
}

}  // namespace

ShardAgent::ShardAgent(const Job& job, const ShardPlan& plan, ShardStore& store,
                       CoordinatorLink& link, Storage& storage,
                       ShardAgentOptions options)
    : job_(job),
      plan_of_shards_(plan),
      store_(store),
      link_(link),
      storage_(storage),
      options_(std::move(options)),
      writer_(storage,
              {.root = options_.checkpoint_dir,
               .bytes_per_second = job.checkpoint_policy().bytes_per_second()}),
      plan_(options_.identity) {}

ShardAgent::~ShardAgent() { Stop(); }

void ShardAgent::Start() {
  attending_ = std::thread([this] { RunAttendance(); });
  acting_ = std::thread([this] { RunActions(); });
}

void ShardAgent::Stop() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  link_.Interrupt();
  writer_.Stop();
  if (acting_.joinable()) acting_.join();
  if (attending_.joinable()) attending_.join();
  // Nobody would write what it gives.
  store_.DropCapture();
}

void ShardAgent::RunAttendance() {
  while (true) {
    v1::AttendRequest request;
    {
      MutexLock lock(&mutex_);
      mutex_.Await([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return stopping_ || plan_.MayAttend();
      });
      if (stopping_) return;
      request = plan_.Request(kWaitMs);
      sent_revision_ = plan_.revision();
    }
    if (!Digest(link_.Attend(request))) return;
  }
}

bool ShardAgent::Digest(const Orders& orders) {
  if (orders.ok()) {
    if (failures_ > 0) spdlog::info("the coordinator is back");
    failures_ = 0;
    MutexLock lock(&mutex_);
    plan_.Take(*orders);
    return true;
  }
  // By this agent: there is news for the coordinator, or an end.
  if (absl::IsCancelled(orders.status())) return true;
  if (absl::IsFailedPrecondition(orders.status())) {
    Refuse(orders.status());
    return false;
  }
  Lose(orders.status());
  return true;
}

void ShardAgent::Lose(const absl::Status& why) {
  ++failures_;
  MutexLock lock(&mutex_);
  if (stopping_) return;
  if (failures_ == 1) {
    spdlog::warn(
        "the coordinator cannot be reached: {}; this server goes on and keeps "
        "trying",
        why.ToString());
  }
  plan_.OnCoordinatorLost();
  mutex_.AwaitFor(
      [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopping_; },
      PauseAfter(failures_));
}

void ShardAgent::Refuse(const absl::Status& why) {
  spdlog::error("the coordinator refuses this server: {}", Text(why));
  {
    MutexLock lock(&mutex_);
    refused_ = true;
    // Only the acting thread can say that the shard is not being restored.
    mutex_.Await([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return stopping_ || left_;
    });
    if (stopping_) return;
  }
  if (options_.on_refused != nullptr) options_.on_refused(why);
}

void ShardAgent::RunActions() {
  while (true) {
    AgentAction action;
    {
      MutexLock lock(&mutex_);
      mutex_.Await([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return stopping_ || refused_ ||
               !std::holds_alternative<NothingToDo>(plan_.Next());
      });
      if (stopping_) return;
      if (refused_) break;
      action = plan_.Next();
    }
    std::visit([this](const auto& a) { Do(a); }, action);
    Report();
  }
  store_.Suspend();
  MutexLock lock(&mutex_);
  left_ = true;
}

void ShardAgent::Do(const SuspendOrder&) {
  spdlog::info("waiting for other servers");
  store_.Suspend();
  MutexLock lock(&mutex_);
  plan_.OnSuspended();
}

void ShardAgent::Do(const RestoreOrder& order) {
  {
    MutexLock lock(&mutex_);
    plan_.OnRestoreBegun(order);
  }
  const absl::Time start = absl::Now();
  const absl::Status status = Restore(order);
  if (status.ok()) {
    spdlog::info("generation {}: starts from version {}, loaded in {}",
                 order.generation, order.version,
                 absl::FormatDuration(
                     absl::Trunc(absl::Now() - start, absl::Milliseconds(1))));
  } else if (!absl::IsCancelled(status)) {
    spdlog::error("generation {}: version {} cannot be loaded: {}",
                  order.generation, order.version, status.ToString());
  }
  MutexLock lock(&mutex_);
  plan_.OnRestored(order, status);
}

absl::Status ShardAgent::CheckWanted(const RestoreOrder& order) {
  MutexLock lock(&mutex_);
  if (!stopping_ && !refused_ && plan_.Wants(order)) return absl::OkStatus();
  return absl::CancelledError("the restore was given up");
}

absl::Status ShardAgent::Restore(const RestoreOrder& order) {
  // Those who wait are to know early.
  store_.Suspend();
  if (order.set_id == 0) {
    return store_.Restore(order.generation, order.version, nullptr);
  }
  if (options_.checkpoint_dir.empty()) {
    return absl::InvalidArgumentError(
        "this server was not told the checkpoint folder");
  }
  TESSERA_ASSIGN_OR_RETURN(
      const std::unique_ptr<SetSource> source,
      SetSource::Open(
          storage_, options_.checkpoint_dir,
          {.version = order.version, .set_id = CheckpointSetId(order.set_id)},
          job_, plan_of_shards_.ShardElements(options_.identity.shard)));
  return store_.Restore(
      order.generation, order.version,
      [&](int section, int64_t first, absl::Span<float> values) {
        absl::Status status = CheckWanted(order);
        if (!status.ok()) return status;
        return source->Read(section, first, values);
      });
}

void ShardAgent::Do(const CaptureOrder& order) {
  {
    MutexLock lock(&mutex_);
    plan_.OnCaptureBegun(order);
  }
  const absl::Status status = Capture(order);
  if (!status.ok()) {
    spdlog::warn("version {} cannot be held for its checkpoint: {}",
                 order.version, status.ToString());
  }
  MutexLock lock(&mutex_);
  plan_.OnCaptureHeld(order.set_id, status);
}

absl::Status ShardAgent::Capture(const CaptureOrder& order) {
  if (options_.checkpoint_dir.empty()) {
    return absl::FailedPreconditionError(
        "this server was not told the checkpoint folder");
  }
  return store_.Capture(
      order.generation, order.version,
      [this, order](absl::StatusOr<std::shared_ptr<ShardSnapshot>> snapshot) {
        WriteFile(order, std::move(snapshot));
      });
}

void ShardAgent::WriteFile(
    const CaptureOrder& order,
    absl::StatusOr<std::shared_ptr<ShardSnapshot>> snapshot) {
  if (!snapshot.ok()) {
    FinishFile(order, snapshot.status());
    return;
  }
  const int shard = options_.identity.shard;
  const ShardHeader header = {.set = {.job_fingerprint = job_.fingerprint(),
                                      .version = order.version,
                                      .set_id = CheckpointSetId(order.set_id)},
                              .shard = shard,
                              .shard_count = plan_of_shards_.shard_count(),
                              .elements = plan_of_shards_.ShardElements(shard),
                              .total_elements = job_.layout().total_elements(),
                              .optimizer = OptimizerStateOf(job_.proto()),
                              .piece_elements = kDefaultPieceElements};
  writer_.Write(header, *std::move(snapshot),
                [this, order](const absl::StatusOr<v1::CheckpointFile>& file) {
                  FinishFile(order, file);
                });
}

void ShardAgent::FinishFile(const CaptureOrder& order,
                            const absl::StatusOr<v1::CheckpointFile>& file) {
  {
    MutexLock lock(&mutex_);
    if (stopping_ || !plan_.WantsFile(order.set_id)) return;
    plan_.OnFile(order.set_id, file);
  }
  if (!file.ok()) {
    spdlog::warn("this shard's part of the checkpoint of version {} failed: {}",
                 order.version, file.status().ToString());
  }
  Report();
}

void ShardAgent::Do(const DropCaptureOrder&) {
  store_.DropCapture();
  writer_.Cancel();
  MutexLock lock(&mutex_);
  plan_.OnCaptureDropped();
}

void ShardAgent::Report() {
  {
    MutexLock lock(&mutex_);
    if (plan_.revision() == sent_revision_) return;
  }
  link_.Interrupt();
}

}  // namespace tessera
