#include "tests/simulation/recovery/server_process.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace tessera {
namespace {

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
      storage_(cluster.disk, [this] { BeforeDiskOperation(); }),
      plan_(Identity(cluster, shard, incarnation_)),
      ledger_(cluster.job.microbatches()) {
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

void ServerProcess::Die() {
  if (!alive) return;
  alive = false;
  storage_.Die();
  cluster_.Note(place, "dies");
  if (store_ != nullptr) {
    cluster_.ComplainIf(ledger_.DifferenceOf(store_->Stats()));
  }
  // Whom it would answer sees that it is dead.
  if (store_ != nullptr) store_->Shutdown();
  on_death_();
}

void ServerProcess::BeforeDiskOperation() {
  if (!cluster_.random.Chance(cluster_.disk_pause_chance)) return;
  cluster_.Pass(*this,
                static_cast<int64_t>(cluster_.random.LogBetween(100, 50'000)));
}

void ServerProcess::DieAtDiskOperation(int64_t n) {
  storage_.DieAtOperation(n, [this] { Die(); });
}

void ServerProcess::CheckGeneration() {
  const int64_t generation = store_->generation();
  if (generation < newest_generation_) {
    cluster_.Complain(absl::StrCat("shard ", shard(), " was in generation ",
                                   newest_generation_, " and is in ",
                                   generation));
  }
  newest_generation_ = generation;
}

void ServerProcess::PushPull(const Contribution& contribution,
                             absl::Span<const float> gradient,
                             Done<BlockVersion> done) {
  CheckGeneration();
  const auto pushed =
      store_->Push(contribution, FragmentedBytes::OfFloats(gradient));
  if (!pushed.ok()) return done(pushed.status());
  cluster_.Note(place, "counts", contribution.block, contribution.step,
                contribution.range.begin, contribution.range.end,
                static_cast<int>(pushed->outcome));
  if (contribution.generation != newest_generation_) {
    cluster_.Complain(absl::StrCat("a push of generation ",
                                   contribution.generation, " was taken in ",
                                   newest_generation_));
  }
  cluster_.ComplainIf(ledger_.Add(contribution, *pushed));
  Pull(contribution.block, contribution.step + 1, contribution.generation,
       std::move(done));
}

void ServerProcess::Pull(int block, int64_t version, int64_t generation,
                         Done<BlockVersion> done) {
  CheckGeneration();
  store_->Pull(
      block, version,
      [this, done](absl::StatusOr<BlockVersion> answer) {
        if (!alive) return;
        if (answer.ok()) cluster_.CheckBlock(*answer);
        done(std::move(answer));
      },
      generation);
}

}  // namespace tessera
