// The part of a server process, on shard 0, that has the coordinator: the rules
// of server/service/coordinator_handler.h and checkpoint_keeper.h.

#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/job/identity.h"
#include "server/checkpoint/manifest.h"
#include "server/checkpoint/sets.h"
#include "server/checkpoint/writer.h"
#include "server/service/checkpoint_keeper.h"
#include "tests/simulation/recovery/server_process.h"

namespace tessera {
namespace {

constexpr int64_t kTickUs = 250'000;
constexpr int64_t kManifestUs = 10'000;

}  // namespace

absl::Status ServerProcess::StartCoordinator() {
  TESSERA_ASSIGN_OR_RETURN(
      std::vector<RestorePoint> points,
      FindRestorePoints(storage_, kCheckpointRoot, cluster_.job));
  if (!alive) return absl::CancelledError("it died meanwhile");
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
  store_->SetStepListener(
      [this](int64_t generation, int64_t step, double loss) {
        coordinator_->OnStepApplied(generation, step, loss, cluster_.Now());
      });
  TickSoon();
  return absl::OkStatus();
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
    if (orders.ok()) CheckOrders(request, *orders);
    return orders;
  });
}

void ServerProcess::CheckOrders(const v1::AttendRequest& request,
                                const v1::AttendResponse& orders) {
  cluster_.Note(request.shard(), "gets orders", orders.generation(),
                orders.restore().version(), orders.capture().version());
  uint64_t& incarnation = attending_[request.shard()];
  if (incarnation != request.incarnation()) {
    if (incarnation != 0) replaced_.insert(incarnation);
    incarnation = request.incarnation();
  }
  if (replaced_.contains(incarnation)) {
    cluster_.Complain(absl::StrCat("a process of shard ", request.shard(),
                                   " that was replaced got orders"));
  }
  if (orders.generation() < newest_ordered_) {
    cluster_.Complain(absl::StrCat("generation ", newest_ordered_,
                                   " is ordered, and then ",
                                   orders.generation()));
  }
  newest_ordered_ = orders.generation();
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
    NoteGrant(grant);
    return WorkReply{grant, c.generation()};
  });
}

void ServerProcess::NoteGrant(const Grant& grant) {
  if (const auto* train = std::get_if<TrainGrant>(&grant)) {
    cluster_.Note(place, "grants step", train->step, train->range.begin,
                  train->range.end);
  } else if (const auto* evaluate = std::get_if<EvaluateGrant>(&grant)) {
    cluster_.Note(place, "grants evaluation of", evaluate->version,
                  evaluate->chunk_begin, evaluate->chunk_end);
  }
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
  manifests_.push_back(*std::move(manifest));
  cluster_.wire.In(Self(), cluster_.random.Between(1, kManifestUs),
                   [this] { WriteManifests(); });
}

void ServerProcess::WriteManifests() {
  // One after the other, as the real keeper's thread.
  if (is_keeping_) return;
  is_keeping_ = true;
  while (alive && !manifests_.empty()) {
    v1::CheckpointManifest manifest = std::move(manifests_.front());
    manifests_.pop_front();
    Write(std::move(manifest));
  }
  is_keeping_ = false;
}

void ServerProcess::Write(v1::CheckpointManifest manifest) {
  manifest.set_job(SerializeJob(cluster_.job.proto()));
  const SetName name{.version = manifest.version(),
                     .set_id = CheckpointSetId(manifest.set_id())};
  cluster_.kept.Try(name);
  const absl::Status status =
      WriteManifest(storage_, kCheckpointRoot, manifest);
  cluster_.Note(place, "manifest", manifest.version(), status.ok());
  if (status.ok()) {
    cluster_.kept.Acknowledge(name);
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

}  // namespace tessera
