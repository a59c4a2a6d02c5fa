// The part of a server process that attends the coordinator and does what it
// says: the rules of server/service/shard_agent.h.

#include <functional>
#include <utility>
#include <variant>

#include "common/base/status_macros.h"
#include "server/checkpoint/manifest.h"
#include "server/checkpoint/pacer.h"
#include "server/checkpoint/writer.h"
#include "server/service/set_source.h"
#include "tests/simulation/recovery/server_process.h"

namespace tessera {
namespace {

// A poll stands for the real agent's long wait.
constexpr int64_t kAttendUs = 20'000;
constexpr int64_t kDiskUs = 10'000;

class SnapshotSource : public CheckpointSource {
 public:
  explicit SnapshotSource(ShardSnapshot& of) : of_(of) {}
  absl::Status Read(int section, const Interval& elements,
                    absl::Span<float> out) override {
    return of_.Read(section, elements, out);
  }
  void Release(int64_t end) override { of_.Release(end); }

 private:
  ShardSnapshot& of_;
};

class CallPacer : public Pacer {
 public:
  explicit CallPacer(std::function<absl::Status()> call)
      : call_(std::move(call)) {}
  absl::Status Admit(int64_t) override { return call_(); }

 private:
  const std::function<absl::Status()> call_;
};

}  // namespace

void ServerProcess::AttendSoon(int64_t delay_us) {
  cluster_.wire.In(Self(), delay_us, [this] { SendAttendance(); });
}

void ServerProcess::SendAttendance() {
  if (calling_) return;
  if (!plan_.MayAttend()) return AttendSoon(kAttendUs);
  calling_ = true;
  cluster_.wire.Call<v1::AttendResponse, ServerProcess>(
      Self(), 0, [this] { return cluster_.ServerOf(0); },
      [request = plan_.Request(0)](ServerProcess& server, auto done) {
        server.Attend(request, std::move(done));
      },
      [this](auto orders) {
        calling_ = false;
        Orders(orders);
      });
}

void ServerProcess::Orders(const absl::StatusOr<v1::AttendResponse>& orders) {
  if (absl::IsFailedPrecondition(orders.status())) {
    cluster_.Note(place, "is refused");
    store_->Suspend();
    return Die();
  }
  if (orders.ok()) {
    plan_.Take(*orders);
  } else {
    plan_.OnCoordinatorLost();
  }
  const int64_t revision = plan_.revision();
  Act();
  AttendSoon(plan_.revision() == revision ? kAttendUs : 1);
}

void ServerProcess::Act() {
  // The real agent acts on a thread of its own, one action after the other.
  while (alive && !is_restoring_) {
    const AgentAction action = plan_.Next();
    if (std::holds_alternative<NothingToDo>(action)) return;
    std::visit([this](const auto& a) { Do(a); }, action);
  }
}

void ServerProcess::Do(const SuspendOrder&) {
  store_->Suspend();
  plan_.OnSuspended();
}

void ServerProcess::Do(const RestoreOrder& order) {
  cluster_.Note(place, "restores", order.generation, order.version);
  plan_.OnRestoreBegun(order);
  is_restoring_ = true;
  store_->Suspend();
  cluster_.wire.In(Self(), cluster_.random.Between(1, kDiskUs),
                   [this, order] { FinishRestore(order); });
}

void ServerProcess::FinishRestore(const RestoreOrder& order) {
  const absl::Status status = plan_.Wants(order)
                                  ? RestoreFrom(order)
                                  : absl::CancelledError("given up");
  if (!alive) return;
  is_restoring_ = false;
  cluster_.Note(place, "restored", order.generation, status.ok());
  if (status.ok()) {
    ++cluster_.restores;
    cluster_.CheckStart(order.generation, order.version, order.set_id);
    ledger_.Restart(order.version);
    CheckGeneration();
  }
  plan_.OnRestored(order, status);
  Act();
}

absl::Status ServerProcess::RestoreFrom(const RestoreOrder& order) {
  if (order.set_id == 0) return store_->Restore(order.generation, 0, nullptr);
  TESSERA_ASSIGN_OR_RETURN(
      const std::unique_ptr<SetSource> source,
      SetSource::Open(
          storage_, kCheckpointRoot,
          {.version = order.version, .set_id = CheckpointSetId(order.set_id)},
          cluster_.job, cluster_.plan.ShardElements(shard())));
  return store_->Restore(
      order.generation, order.version,
      [&](int section, int64_t first, absl::Span<float> values) {
        return alive && plan_.Wants(order)
                   ? source->Read(section, first, values)
                   : absl::CancelledError("given up");
      });
}

void ServerProcess::Do(const CaptureOrder& order) {
  plan_.OnCaptureBegun(order);
  const absl::Status held = store_->Capture(
      order.generation, order.version, [this, order](auto snapshot) {
        if (!alive) return;
        if (!snapshot.ok())
          return plan_.OnFile(order.set_id, snapshot.status());
        cluster_.wire.In(
            Self(), cluster_.random.Between(1, 3 * kDiskUs),
            [this, order, held = *snapshot] { WriteFile(order, held); });
      });
  cluster_.Note(place, "captures", order.version, held.ok());
  plan_.OnCaptureHeld(order.set_id, held);
}

void ServerProcess::Do(const DropCaptureOrder&) {
  store_->DropCapture();
  plan_.OnCaptureDropped();
}

// One file after the other, as the real writer's thread.
void ServerProcess::WriteFile(const CaptureOrder& order,
                              const std::shared_ptr<ShardSnapshot>& snapshot) {
  if (!plan_.WantsFile(order.set_id)) return;
  if (is_writing_) {
    return cluster_.wire.In(Self(), kDiskUs, [this, order, snapshot] {
      WriteFile(order, snapshot);
    });
  }
  is_writing_ = true;
  SnapshotSource source(*snapshot);
  CallPacer pacer([this, order] {
    return alive && plan_.WantsFile(order.set_id)
               ? absl::OkStatus()
               : absl::CancelledError("given up");
  });
  const auto file =
      WriteShardFile(storage_, kCheckpointRoot, HeaderOf(order), source, pacer);
  is_writing_ = false;
  if (!alive) return;
  cluster_.Note(place, "file", order.version, file.ok());
  plan_.OnFile(order.set_id, file);
}

ShardHeader ServerProcess::HeaderOf(const CaptureOrder& order) const {
  return {.set = {.job_fingerprint = cluster_.job.fingerprint(),
                  .version = order.version,
                  .set_id = CheckpointSetId(order.set_id)},
          .shard = shard(),
          .shard_count = cluster_.plan.shard_count(),
          .elements = cluster_.plan.ShardElements(shard()),
          .total_elements = cluster_.job.layout().total_elements(),
          .optimizer = OptimizerStateOf(cluster_.job.proto()),
          .piece_elements = 16};
}

}  // namespace tessera
