#include "tests/simulation/simulation.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/coordinator/evaluation_tally.h"
#include "server/coordinator/stop_rules.h"
#include "tests/simulation/expected_run.h"
#include "tests/support/test_job.h"

namespace tessera {
namespace {

constexpr absl::Duration kLease = absl::Seconds(1);
constexpr int64_t kLeaseUs = 1'000'000;
constexpr int64_t kFaultsUntilUs = 20 * kLeaseUs;
// Far more than any job needs once faults have ceased.
constexpr int64_t kDeadlineUs = kFaultsUntilUs + 400 * kLeaseUs;

class Simulation {
 public:
  Simulation(const Job& job, const SimulationOptions& options)
      : job_(job),
        world_(job, MakeTestPlan(job, DrawShards(job, options.seed)), kLease,
               options.seed, options.keep_trace) {}

  SimulationResult Run();

 private:
  static int DrawShards(const Job& job, uint64_t seed) {
    const auto blocks =
        (job.layout().total_elements() * 4 + job.block_bytes() - 1) /
        job.block_bytes();
    return static_cast<int>(
        Random(seed + 7).Between(1, std::min<int64_t>(3, blocks)));
  }

  void DrawWorkers();
  void DrawConditions();
  void TickSoon();
  void FaultSoon();
  void Fault();
  void CrashOne(WorkerModel& worker);
  void StartSoon(WorkerModel& worker, int64_t delay_us_max);
  void CeaseFaults();
  bool AllKnowOfTheEnd() const;
  void CheckEnd(const v1::GetStatusResponse& status);
  void CheckLastVersion(const v1::GetStatusResponse& status);
  void ComplainAboutHanging();

  Random& random() { return world_.random; }

  const Job& job_;
  World world_;
  std::vector<std::unique_ptr<WorkerModel>> workers_;
  double mean_fault_gap_us_ = 0;
  bool stop_requested_ = false;
  std::optional<bool> deserted_;  // Whether no worker was left at the end.
  int faults_ = 0;
};

void Simulation::DrawWorkers() {
  const int64_t count = random().Between(1, 5);
  for (int i = 0; i < count; ++i) {
    const auto microbatch_us =
        static_cast<int64_t>(random().LogBetween(1e3, 1e5));
    workers_.push_back(std::make_unique<WorkerModel>(i, microbatch_us, world_));
    StartSoon(*workers_.back(),
              random().Chance(0.7) ? 10'000 : kFaultsUntilUs / 4);
  }
}

void Simulation::DrawConditions() {
  const bool lossy = random().Chance(0.4);
  world_.network.SetConditions(
      {.delay_us_max = static_cast<int64_t>(random().LogBetween(100, 5e4)),
       .loss = lossy ? random().LogBetween(0.001, 0.2) : 0,
       .late = lossy ? 0.01 : 0});
  mean_fault_gap_us_ = random().LogBetween(0.02 * kLeaseUs, 2 * kLeaseUs);
  if (random().Chance(0.15)) {
    world_.queue.After(random().Between(0, kFaultsUntilUs / 2), [this] {
      world_.Note(-1, "stop requested");
      stop_requested_ = true;
      world_.coordinator->RequestStop(world_.queue.now());
    });
  }
}

void Simulation::TickSoon() {
  world_.queue.After(kLeaseUs / 4, [this] {
    world_.coordinator->Tick(world_.queue.now());
    if (random().Chance(0.1)) {
      (void)world_.coordinator->Status(world_.queue.now());
    }
    TickSoon();
  });
}

void Simulation::StartSoon(WorkerModel& worker, int64_t delay_us_max) {
  world_.queue.After(random().Between(0, delay_us_max), [this, &worker] {
    if (worker.running()) return;
    world_.Note(-1, "a worker process starts");
    worker.Start();
  });
}

void Simulation::FaultSoon() {
  const auto gap =
      static_cast<int64_t>(mean_fault_gap_us_ * 2 * random().Unit()) + 1;
  if (world_.queue.now_us() + gap >= kFaultsUntilUs) return;
  world_.queue.After(gap, [this] {
    Fault();
    FaultSoon();
  });
}

void Simulation::Fault() {
  const auto chosen = random().Next() % workers_.size();
  WorkerModel& worker = *workers_[chosen];
  if (!worker.running() || world_.coordinator->ended()) return;
  ++faults_;
  switch (random().Between(0, 4)) {
    case 0:
    case 1:
      CrashOne(worker);
      break;
    case 2:
      worker.Leave();
      StartSoon(worker, 3 * kLeaseUs);
      break;
    case 3:
      worker.StallFor(random().Between(1, 3 * kLeaseUs));
      break;
    default:
      worker.SetSpeed(static_cast<int64_t>(random().LogBetween(1e3, 3e5)));
  }
}

void Simulation::CrashOne(WorkerModel& worker) {
  world_.Note(-1, "a worker crashes", worker.id().value());
  worker.Crash();
  // Whoever started it may notice, and tell.
  if (random().Chance(0.5)) {
    world_.queue.After(random().Between(0, kLeaseUs), [this, id = worker.id()] {
      world_.coordinator->Leave(id, world_.queue.now());
    });
  }
  StartSoon(worker, 3 * kLeaseUs);
}

void Simulation::CeaseFaults() {
  world_.Note(-1, "faults cease");
  world_.network.SetConditions({});
  for (auto& worker : workers_) StartSoon(*worker, 1000);
}

bool Simulation::AllKnowOfTheEnd() const {
  return world_.coordinator->ended() &&
         std::all_of(workers_.begin(), workers_.end(),
                     [](const auto& w) { return w->done() || !w->running(); });
}

void Simulation::ComplainAboutHanging() {
  std::string text = absl::StrCat(
      "the job hangs: ", world_.shards.Describe(),
      world_.coordinator->Status(world_.queue.now()).ShortDebugString());
  for (const auto& worker : workers_) {
    absl::StrAppend(&text, "; ", worker->Describe());
  }
  world_.Complain(text);
}

SimulationResult Simulation::Run() {
  DrawConditions();
  DrawWorkers();
  TickSoon();
  FaultSoon();
  world_.queue.After(kFaultsUntilUs, [this] { CeaseFaults(); });

  SimulationResult result;
  while (world_.complaint().empty() && !AllKnowOfTheEnd()) {
    world_.queue.RunOne();
    ++result.events;
    if (world_.coordinator->ended() && !deserted_.has_value()) {
      deserted_ =
          world_.coordinator->Status(world_.queue.now()).workers().empty();
    }
    if (world_.queue.now_us() > kDeadlineUs) ComplainAboutHanging();
  }
  // The last news of shard 0 may still be on its way.
  const int64_t settled_us = world_.queue.now_us() + kLeaseUs;
  while (world_.queue.now_us() < settled_us) world_.queue.RunOne();

  result.status = world_.coordinator->Status(world_.queue.now());
  if (world_.complaint().empty()) CheckEnd(result.status);
  result.complaint = world_.complaint();
  result.trace = world_.trace.text();
  result.trace_hash = world_.trace.hash();
  result.faults = faults_;
  return result;
}

void Simulation::CheckEnd(const v1::GetStatusResponse& status) {
  const ExpectedRun expected = ExpectedRunOf(job_);
  const std::string difference = DifferenceFrom(expected, status);
  if (!difference.empty()) world_.Complain(difference);
  if (status.end_reason() == v1::END_REASON_STOPPED && !stop_requested_) {
    world_.Complain("stopped, though nobody asked for it");
  }
  CheckLastVersion(status);
}

void Simulation::CheckLastVersion(const v1::GetStatusResponse& status) {
  // A job that is stopped and has no worker ends where it is.
  if (*deserted_ && status.end_reason() == v1::END_REASON_STOPPED) return;
  if (status.evaluations_size() == 0 ||
      status.evaluations().rbegin()->version() != status.steps_done()) {
    world_.Complain("the last version was not evaluated");
  }
  for (int block = 0; block < world_.shards.block_count(); ++block) {
    if (world_.shards.NewestVersion(block) != status.steps_done()) {
      world_.Complain(absl::StrCat("the job ended at version ",
                                   status.steps_done(), ", block ", block,
                                   " at ", world_.shards.NewestVersion(block)));
    }
  }
}

}  // namespace

Job DrawJob(uint64_t seed) {
  Random random(seed + 1'000'000'007);
  const auto blocks = static_cast<int>(random.Between(1, 4));
  const auto chunks = random.Between(1, 7);
  const Job plain = MakeTestJob(
      {.parameters = 16 * blocks,
       .microbatches = static_cast<int>(random.Between(1, 13)),
       .steps = random.Between(1, 60),
       .test_examples = chunks * 10 - random.Between(0, 9),
       .evaluation = absl::StrCat("every_steps: ", random.Between(1, 9),
                                  " chunk_examples: 10")});
  v1::Job proto = plain.proto();
  if (random.Chance(0.3)) {
    proto.mutable_stop()->set_target_loss(
        static_cast<float>(random.LogBetween(0.1, 1)));
  }
  if (random.Chance(0.2)) {
    v1::Plateau& plateau = *proto.mutable_stop()->mutable_plateau();
    plateau.set_evaluations(static_cast<int>(random.Between(1, 3)));
    plateau.set_min_improvement(static_cast<float>(random.Unit() * 0.1));
  }
  return *Job::Create(proto);
}

SimulationResult Simulate(const Job& job, const SimulationOptions& options) {
  return Simulation(job, options).Run();
}

}  // namespace tessera
