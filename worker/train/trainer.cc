#include "worker/train/trainer.h"

#include <spdlog/spdlog.h>

#include <memory>
#include <optional>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/job/job.h"
#include "common/shm/shared_region.h"
#include "worker/client/parameter_client.h"
#include "worker/data/dataset.h"
#include "worker/model/network.h"
#include "worker/train/block_board.h"
#include "worker/train/gradient_pool.h"
#include "worker/train/lease_keeper.h"
#include "worker/train/range_worker.h"

namespace tessera {
namespace {

// How long the coordinator may keep a request for work waiting.
constexpr absl::Duration kWorkWait = absl::Seconds(2);
// Between attempts when the servers and the coordinator seem to disagree.
constexpr absl::Duration kResetPause = absl::Milliseconds(100);
constexpr absl::Duration kLeaveTimeout = absl::Seconds(2);
// What a shared region has address space for: gradients at a time, of which
// training needs a few, and room for their rounded blocks. What does not fit
// travels over the network.
constexpr uint64_t kGradients = 64;
constexpr uint64_t kRoomBytes = 64 << 20;

Transport TransportOf(ShmUse use) {
  switch (use) {
    case ShmUse::kAuto:
      return Transport::kAuto;
    case ShmUse::kOn:
      return Transport::kSharedMemory;
    case ShmUse::kOff:
      return Transport::kTcp;
  }
  return Transport::kAuto;
}

}  // namespace

// What outlives a membership: the job, its data and the memory.
struct Trainer::Workshop {
  Job job;
  ShardPlan plan;
  std::unique_ptr<DataSet> data;
  BlockBoard board;
  // That the board's versions were fetched in.
  int64_t generation = 0;
  // Where gradients lie; null when they are not shared.
  std::shared_ptr<SharedRegion> region;
  std::unique_ptr<GradientPool> pool;

  // `device` may be null.
  Workshop(Job j, ShardPlan p, std::unique_ptr<DataSet> d, Device* device)
      : job(std::move(j)), plan(p), data(std::move(d)), board(plan, device) {}

  // Memory for a membership's gradients: new at first, and after a client had
  // to detach what it had. Codes: with kOn, FAILED_PRECONDITION when no memory
  // can be shared. `device` may be null.
  absl::Status PrepareMemory(ShmUse use, Device* device);
};

absl::Status Trainer::Workshop::PrepareMemory(ShmUse use, Device* device) {
  if (pool != nullptr && (region == nullptr || !region->detached())) {
    return absl::OkStatus();
  }
  region = nullptr;
  if (use != ShmUse::kOff) {
    auto made = SharedRegion::Create(
        kGradients * static_cast<uint64_t>(plan.elements()) * sizeof(float) +
        kRoomBytes);
    if (made.ok()) region = *std::move(made);
    if (!made.ok() && use == ShmUse::kOn) {
      return absl::FailedPreconditionError(
          absl::StrCat("--shared_memory=on: ", made.status().message(),
                       "; leave the flag out to go on without"));
    }
  }
  pool = std::make_unique<GradientPool>(plan.elements(), region, device);
  return absl::OkStatus();
}

// One membership, from Join to the job's end or the membership's.
class Trainer::Membership {
 public:
  Membership(CoordinatorClient& coordinator, Workshop& shop,
             std::unique_ptr<ParameterClient> client,
             std::unique_ptr<Network> network, const v1::JoinResponse& joined,
             Tracer* tracer)
      : tracer_(tracer),
        coordinator_(coordinator),
        shop_(shop),
        worker_(joined.worker_id()),
        client_(std::move(client)),
        range_worker_(shop.job, shop.plan, *shop.data, std::move(network),
                      shop.board, *shop.pool, *client_, tracer),
        keeper_(coordinator, worker_, absl::Milliseconds(joined.lease_ms()),
                shop.board) {}

  ~Membership() { Reset(); }

  // Codes: OK when the job ended; NOT_FOUND when the lease ran out (join
  // again); anything else is final.
  absl::Status Run() {
    while (true) {
      v1::GetWorkRequest request;
      request.set_worker_id(worker_.value());
      request.set_have_version(
          std::max(proven_version_, shop_.board.CompleteVersion()));
      request.set_microbatch_seconds(MicrobatchSeconds());
      request.set_wait_ms(absl::ToInt64Milliseconds(kWorkWait));
      request.set_gives_up_last(std::exchange(gives_up_last_, false));
      request.set_request_number(++requests_);
      request.set_generation(shop_.generation);
      TESSERA_ASSIGN_OR_RETURN(v1::GetWorkResponse work, GetWork(request));
      Enter(work.generation());
      if (work.has_ended()) return absl::OkStatus();
      TESSERA_RETURN_IF_ERROR(Recover(Do(work), work));
    }
  }

  const TrainTimes& times() const { return range_worker_.times(); }
  ClientTraffic traffic() const { return client_->traffic(); }

 private:
  absl::StatusOr<v1::GetWorkResponse> GetWork(
      const v1::GetWorkRequest& request) {
    const TraceSpan span(tracer_, TraceCategory::kControl, "ask for work");
    return coordinator_.GetWork(request);
  }

  // The generation of the work to come. What was begun and is held in another
  // is worth nothing: the servers may have gone back.
  void Enter(int64_t generation) {
    if (generation != shop_.generation) {
      client_->CancelAll();
      shop_.board.Forget();
      proven_version_ = -1;
      shop_.generation = generation;
    }
    client_->SetGeneration(generation);
    keeper_.SetGeneration(generation);
  }

  absl::Status Do(const v1::GetWorkResponse& work) {
    if (work.has_train()) {
      const v1::TrainWork& train = work.train();
      return range_worker_.Train(
          train.step(), {train.microbatch_begin(), train.microbatch_end()});
    }
    if (work.has_evaluate()) return Evaluate(work.evaluate());
    // A repeat of the request may have been answered with work all the same.
    gives_up_last_ = true;
    return absl::OkStatus();
  }

  absl::Status Evaluate(const v1::EvaluateWork& work) {
    v1::ReportEvaluationRequest report;
    report.set_worker_id(worker_.value());
    report.set_version(work.version());
    report.set_generation(shop_.generation);
    report.set_chunk_begin(work.chunk_begin());
    for (int chunk = work.chunk_begin(); chunk < work.chunk_end(); ++chunk) {
      TESSERA_ASSIGN_OR_RETURN(EvaluationScore score,
                               range_worker_.Evaluate(work.version(), chunk));
      v1::ChunkResult& result = *report.add_results();
      result.set_loss_sum(score.loss_sum);
      result.set_correct(score.correct);
    }
    return coordinator_.ReportEvaluation(report).status();
  }

  // Sorts out what ended a piece of work: OK when there is just more to ask
  // for.
  absl::Status Recover(const absl::Status& status,
                       const v1::GetWorkResponse& work) {
    if (status.ok()) return status;
    if (absl::IsAborted(status)) {
      gives_up_last_ = true;
      return absl::OkStatus();
    }
    if (!absl::IsOutOfRange(status)) return status;
    // The job went on without this worker: a version is let go when the next
    // one is complete on all shards.
    spdlog::info("fell behind ({}); asking for newer work", status.ToString());
    const int64_t version =
        work.has_train() ? work.train().step() : work.evaluate().version();
    proven_version_ = std::max(proven_version_, version + 1);
    gives_up_last_ = true;
    Reset();
    absl::SleepFor(kResetPause);
    return absl::OkStatus();
  }

  void Reset() {
    client_->CancelAll();
    shop_.board.Reset();
  }

  double MicrobatchSeconds() const {
    const TrainTimes& times = range_worker_.times();
    if (times.microbatches == 0) return 0;
    return absl::ToDoubleSeconds(times.compute) /
           static_cast<double>(times.microbatches);
  }

  Tracer* const tracer_;
  CoordinatorClient& coordinator_;
  Workshop& shop_;
  const WorkerId worker_;
  std::unique_ptr<ParameterClient> client_;
  RangeWorker range_worker_;
  LeaseKeeper keeper_;
  int64_t proven_version_ = -1;
  bool gives_up_last_ = false;
  uint64_t requests_ = 0;
};

namespace {

void LogOutage(const std::string& report) { spdlog::warn("{}", report); }

void LogSummary(const TrainTimes& times, const ClientTraffic& traffic) {
  const absl::Duration total = times.compute + times.waiting;
  spdlog::info(
      "computed {} microbatches in {:.2f} s, waited for blocks {:.2f} s "
      "({:.1f}% of passes); pushed {:.1f} MB, pulled {:.1f} MB, {} retries",
      times.microbatches, absl::ToDoubleSeconds(times.compute),
      absl::ToDoubleSeconds(times.waiting),
      total > absl::ZeroDuration()
          ? 100 * absl::FDivDuration(times.waiting, total)
          : 0.0,
      static_cast<double>(traffic.pushed_bytes) / 1e6,
      static_cast<double>(traffic.pulled_bytes) / 1e6, traffic.retries);
}

}  // namespace

Trainer::Trainer(TrainerOptions options, CoordinatorClient& coordinator)
    : options_(std::move(options)), coordinator_(coordinator) {}

Trainer::~Trainer() = default;

absl::StatusOr<std::unique_ptr<Trainer::Workshop>> Trainer::MakeWorkshop(
    const v1::JoinResponse& joined) const {
  TESSERA_ASSIGN_OR_RETURN(Job job, Job::Create(joined.job()));
  if (job.fingerprint() != joined.job_fingerprint()) {
    return absl::FailedPreconditionError(
        "this worker reads the server's job differently (another version of "
        "Tessera?): use the same build on all machines");
  }
  const int servers = static_cast<int>(options_.servers.size());
  if (servers != joined.shard_count()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--servers lists ", servers, " addresses where the job runs on ",
        joined.shard_count(), " servers: list all of them, in shard order"));
  }
  TESSERA_ASSIGN_OR_RETURN(
      ShardPlan plan, ShardPlan::Create(job.layout().total_elements(), servers,
                                        job.block_bytes()));
  TESSERA_ASSIGN_OR_RETURN(
      std::unique_ptr<DataSet> data,
      DataSet::Load(job.proto().data_set(), job.proto().seed(),
                    options_.data_dir));
  return std::make_unique<Workshop>(std::move(job), plan, std::move(data),
                                    options_.device);
}

absl::Status Trainer::Work(const v1::JoinResponse& joined) {
  Workshop* shop;
  {
    MutexLock lock(&mutex_);
    shop = workshop_.get();
  }
  TESSERA_RETURN_IF_ERROR(
      shop->PrepareMemory(options_.shared_memory, options_.device));
  TESSERA_ASSIGN_OR_RETURN(
      std::unique_ptr<ParameterClient> client,
      ParameterClient::Create(shop->plan,
                              {.job_fingerprint = shop->job.fingerprint(),
                               .worker = WorkerId(joined.worker_id()),
                               .servers = options_.servers,
                               .unreachable_after = options_.unreachable_after,
                               .on_outage = LogOutage,
                               .security = options_.security,
                               .transport = TransportOf(options_.shared_memory),
                               .region = shop->region,
                               .push_encoding = shop->job.push_encoding(),
                               .pull_encoding = shop->job.pull_encoding(),
                               .tracer = options_.tracer}));
  const int max_samples =
      std::max(shop->job.microbatch_size(), shop->job.chunk_examples());
  TESSERA_ASSIGN_OR_RETURN(
      std::unique_ptr<Network> network,
      Network::Create(shop->job, max_samples,
                      {.device = options_.device, .tf32 = options_.tf32}));
  Membership membership(coordinator_, *shop, std::move(client),
                        std::move(network), joined, options_.tracer);
  absl::Status status = membership.Run();
  LogSummary(membership.times(), membership.traffic());
  return status;
}

void Trainer::Leave(uint64_t worker_id) const {
  v1::LeaveRequest request;
  request.set_worker_id(worker_id);
  // A client of its own, because Stop cancels the other. The lease runs out by
  // itself when this does not get through.
  (void)CoordinatorClient::Create({.server = options_.servers[0],
                                   .unreachable_after = kLeaveTimeout,
                                   .security = options_.security})
      ->Leave(request);
}

absl::Status Trainer::Run() {
  v1::JoinRequest request;
  request.set_label(options_.label);
  while (true) {
    TESSERA_ASSIGN_OR_RETURN(v1::JoinResponse joined,
                             coordinator_.Join(request));
    const uint64_t id = joined.worker_id();
    absl::Cleanup leave = [this, id] { Leave(id); };
    spdlog::info("joined job \"{}\" as worker {} ({})", joined.job().name(), id,
                 options_.label);
    if (request.job_fingerprint() == 0) {
      TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<Workshop> workshop,
                               MakeWorkshop(joined));
      MutexLock lock(&mutex_);
      workshop_ = std::move(workshop);
      request.set_job_fingerprint(joined.job_fingerprint());
    }
    absl::Status status = Work(joined);
    if (!absl::IsNotFound(status)) return status;
    spdlog::warn("worker {} lost its lease; joining again", id);
  }
}

void Trainer::Stop() {
  coordinator_.Cancel();
  MutexLock lock(&mutex_);
  if (workshop_ != nullptr) {
    workshop_->board.Interrupt(absl::CancelledError("the worker is stopping"));
  }
}

}  // namespace tessera
