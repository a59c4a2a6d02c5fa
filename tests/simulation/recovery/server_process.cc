#include "tests/simulation/recovery/server_process.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "server/checkpoint/manifest.h"
#include "server/checkpoint/sets.h"
#include "server/checkpoint/writer.h"
#include "server/service/checkpoint_keeper.h"
#include "server/service/set_source.h"

namespace tessera {
namespace {

// A poll stands for the real agent's long wait.
constexpr int64_t kAttendUs = 20'000;
constexpr int64_t kTickUs = 250'000;
constexpr int64_t kDiskUs = 10'000;

AgentIdentity Identity(const Cluster& cluster, int shard,
                       uint64_t incarnation) {
  return {.job_fingerprint = cluster.job.fingerprint(),
          .shard = shard,
          .shard_count = cluster.plan.shard_count(),
          .incarnation = incarnation};
}

}  // namespace

ServerProcess::ServerProcess(Cluster& cluster, int shard,
                             std::function<void()> on_death)
    : cluster_(cluster),
      on_death_(std::move(on_death)),
      incarnation_(cluster.Draw()),
      storage_(cluster.disk),
      plan_(Identity(cluster, shard, incarnation_)) {
  place = shard;
}

ServerProcess::~ServerProcess() = default;

absl::Status ServerProcess::Start() {
  TESSERA_ASSIGN_OR_RETURN(
      store_, ShardStore::Create(cluster_.job, cluster_.plan, shard(),
                                 *cluster_.device));
  store_->Suspend();
  if (shard() == 0) TESSERA_RETURN_IF_ERROR(StartCoordinator());
  AttendSoon(1);
  return absl::OkStatus();
}

absl::Status ServerProcess::StartCoordinator() {
  TESSERA_ASSIGN_OR_RETURN(
      std::vector<RestorePoint> points,
      FindRestorePoints(storage_, kCheckpointRoot, cluster_.job));
  coordinator_ = Coordinator::Create(
      cluster_.job,
      {.lease = kSimulatedLease,
       .first_worker_id = cluster_.Draw() >> 8,
       .generation_floor = static_cast<int64_t>(cluster_.Draw() >> 8),
       .shard_count = cluster_.plan.shard_count(),
       .servers_attend = true,
       .makes_checkpoints = true,
       .restore_points = std::move(points),
       .draw_set_id = [this] { return cluster_.Draw(); }});
  store_->SetStepListener([this](int64_t generation, int64_t step, double) {
    coordinator_->OnStepApplied(generation, step, 0, cluster_.Now());
  });
  TickSoon();
  return absl::OkStatus();
}

void ServerProcess::Die() {
  if (!alive) return;
  alive = false;
  storage_.Die();
  cluster_.Note(place, "dies");
  // Whom it would answer sees that it is dead.
  if (store_ != nullptr) store_->Shutdown();
  on_death_();
}

void ServerProcess::DieAtDiskOperation(int64_t n) {
  storage_.DieAtOperation(n, [this] { Die(); });
}

void ServerProcess::TickSoon() {
  cluster_.wire.In(Self(), kTickUs, [this] {
    coordinator_->Tick(cluster_.Now());
    (void)coordinator_->Status(cluster_.Now());
    WriteManifestSoon();
    TickSoon();
  });
}

template <typename Reply>
void ServerProcess::Coordinate(
    const Done<Reply>& done,
    std::function<absl::StatusOr<Reply>(Coordinator&)> call) {
  if (coordinator_ == nullptr) {
    return done(absl::UnavailableError("no coordinator"));
  }
  done(call(*coordinator_));
  WriteManifestSoon();
}

void ServerProcess::Attend(const v1::AttendRequest& request,
                           Done<v1::AttendResponse> done) {
  Coordinate<v1::AttendResponse>(done, [&](Coordinator& c) {
    const auto orders = c.Attend(request, cluster_.Now());
    if (c.generation() != 0) cluster_.generations.insert(c.generation());
    return orders;
  });
}

void ServerProcess::Join(Done<WorkerId> done) {
  Coordinate<WorkerId>(
      done, [&](Coordinator& c) { return c.Join("worker", cluster_.Now()); });
}

void ServerProcess::GetWork(WorkerId worker, const WorkReport& report,
                            Done<WorkReply> done) {
  Coordinate<WorkReply>(done, [&](Coordinator& c) -> absl::StatusOr<WorkReply> {
    TESSERA_ASSIGN_OR_RETURN(Grant grant,
                             c.GetWork(worker, report, cluster_.Now()));
    return WorkReply{grant, c.generation()};
  });
}

void ServerProcess::Renew(WorkerId worker, int64_t generation,
                          Done<bool> done) {
  Coordinate<bool>(done, [&](Coordinator& c) {
    return c.Renew(worker, generation, cluster_.Now());
  });
}

void ServerProcess::Report(WorkerId worker, int64_t generation,
                           const EvaluateGrant& work, Done<bool> done) {
  std::vector<ChunkScore> scores;
  for (int chunk = work.chunk_begin; chunk < work.chunk_end; ++chunk) {
    scores.push_back(cluster_.reference.Score(work.version, chunk));
  }
  Coordinate<bool>(done, [&](Coordinator& c) -> absl::StatusOr<bool> {
    TESSERA_RETURN_IF_ERROR(c.ReportEvaluation(worker, generation, work.version,
                                               work.chunk_begin, scores,
                                               cluster_.Now()));
    return true;
  });
}

void ServerProcess::WriteManifestSoon() {
  auto manifest = coordinator_->TakeManifest();
  if (!manifest.has_value()) return;
  cluster_.wire.In(
      Self(), cluster_.random.Between(1, kDiskUs),
      [this, manifest = *std::move(manifest)] { Write(manifest); });
}

void ServerProcess::Write(v1::CheckpointManifest manifest) {
  manifest.set_job(SerializeJob(cluster_.job.proto()));
  const SetName name{.version = manifest.version(),
                     .set_id = CheckpointSetId(manifest.set_id())};
  const absl::Status status =
      WriteManifest(storage_, kCheckpointRoot, manifest);
  cluster_.Note(place, "manifest", manifest.version(), status.ok());
  if (status.ok()) {
    cluster_.acknowledged = name;
    ++cluster_.checkpoints;
    (void)ApplyRetention(storage_, kCheckpointRoot,
                         {.keep = cluster_.job.checkpoint_policy().keep(),
                          .acknowledged = name});
  } else {
    ++cluster_.failed_checkpoints;
  }
  if (!alive) return;
  coordinator_->OnManifestWritten(manifest.set_id(), status, 1, cluster_.Now());
}

void ServerProcess::PushPull(const Contribution& contribution,
                             const std::vector<float>& gradient,
                             Done<int64_t> done) {
  const auto pushed =
      store_->Push(contribution, FragmentedBytes::OfFloats(gradient));
  if (!pushed.ok()) return done(pushed.status());
  Pull(contribution.block, contribution.step + 1, contribution.generation,
       std::move(done));
}

void ServerProcess::Pull(int block, int64_t version, int64_t generation,
                         Done<int64_t> done) {
  store_->Pull(
      block, version,
      [this, block, done](absl::StatusOr<BlockVersion> answer) {
        if (!alive) return;
        if (!answer.ok()) return done(answer.status());
        cluster_.CheckBlock(block, answer->version, answer->values);
        done(answer->version);
      },
      generation);
}

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
  while (alive) {
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
  store_->Suspend();
  cluster_.wire.In(Self(), cluster_.random.Between(1, kDiskUs),
                   [this, order] { FinishRestore(order); });
}

void ServerProcess::FinishRestore(const RestoreOrder& order) {
  const absl::Status status = plan_.Wants(order)
                                  ? RestoreFrom(order)
                                  : absl::CancelledError("given up");
  if (!alive) return;
  cluster_.Note(place, "restored", order.generation, status.ok());
  if (status.ok()) ++cluster_.restores;
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
        return source->Read(section, first, values);
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
            [this, order, held = *snapshot] { WriteFile(order, *held); });
      });
  cluster_.Note(place, "captures", order.version, held.ok());
  plan_.OnCaptureHeld(order.set_id, held);
}

void ServerProcess::Do(const DropCaptureOrder&) {
  store_->DropCapture();
  plan_.OnCaptureDropped();
}

void ServerProcess::WriteFile(const CaptureOrder& order,
                              ShardSnapshot& snapshot) {
  // As the real writer's pacer, which asks before every piece.
  if (!plan_.WantsFile(order.set_id)) return;
  class Source : public CheckpointSource {
   public:
    explicit Source(ShardSnapshot& of) : of_(of) {}
    absl::Status Read(int section, const Interval& elements,
                      absl::Span<float> out) override {
      return of_.Read(section, elements, out);
    }
    void Release(int64_t end) override { of_.Release(end); }

   private:
    ShardSnapshot& of_;
  } source(snapshot);
  NoPacer pacer;
  const auto file =
      WriteShardFile(storage_, kCheckpointRoot,
                     {.set = {.job_fingerprint = cluster_.job.fingerprint(),
                              .version = order.version,
                              .set_id = CheckpointSetId(order.set_id)},
                      .shard = shard(),
                      .shard_count = cluster_.plan.shard_count(),
                      .elements = cluster_.plan.ShardElements(shard()),
                      .total_elements = cluster_.job.layout().total_elements(),
                      .optimizer = OptimizerStateOf(cluster_.job.proto()),
                      .piece_elements = 16},
                     source, pacer);
  if (!alive) return;
  cluster_.Note(place, "file", order.version, file.ok());
  plan_.OnFile(order.set_id, file);
}

}  // namespace tessera
