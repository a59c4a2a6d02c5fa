#include "worker/train/work_loop.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/status_macros.h"

namespace tessera {
namespace {

// How long the coordinator may keep a request for work waiting.
constexpr absl::Duration kWorkWait = absl::Seconds(2);
// Between attempts when the servers and the coordinator seem to disagree.
constexpr absl::Duration kResetPause = absl::Milliseconds(100);

absl::Status ComputesDifferently(const absl::Status& status) {
  return absl::AlreadyExistsError(absl::StrCat(
      status.message(),
      ". This worker's gradient of the same samples is not the other's, so one "
      "of the two is of another build, has another kind of processor or GPU "
      "(see --device), other data files, or faulty memory. The first that came "
      "was kept. Run all of a job's workers with one build on one kind of "
      "machine; if they are, test the memory of these two"));
}

}  // namespace

WorkLoop::WorkLoop(CoordinatorClient& coordinator, Workshop& shop,
                   std::unique_ptr<ParameterClient> client,
                   std::unique_ptr<Network> network,
                   const v1::JoinResponse& joined, Tracer* tracer)
    : tracer_(tracer),
      coordinator_(coordinator),
      shop_(shop),
      worker_(joined.worker_id()),
      client_(std::move(client)),
      range_worker_(shop.job, shop.plan, *shop.data, std::move(network),
                    shop.board, shop.pool, *client_, tracer) {
  keeper_.emplace(coordinator, worker_, absl::Milliseconds(joined.lease_ms()),
                  shop.board);
}

WorkLoop::~WorkLoop() {
  // It may have something to say to the board until it is gone.
  keeper_.reset();
  client_->CancelAll();
  shop_.board.Reset();
}

absl::Status WorkLoop::Run() {
  while (true) {
    TESSERA_ASSIGN_OR_RETURN(v1::GetWorkResponse work, AskForWork());
    TESSERA_RETURN_IF_ERROR(Enter(work.generation()));
    if (work.has_ended()) return absl::OkStatus();
    TESSERA_RETURN_IF_ERROR(Recover(Do(work), work));
  }
}

absl::StatusOr<v1::GetWorkResponse> WorkLoop::AskForWork() {
  v1::GetWorkRequest request;
  request.set_worker_id(worker_.value());
  request.set_have_version(
      std::max(proven_version_, shop_.board.CompleteVersion()));
  request.set_microbatch_seconds(MicrobatchSeconds());
  request.set_wait_ms(absl::ToInt64Milliseconds(kWorkWait));
  request.set_gives_up_last(std::exchange(gives_up_last_, false));
  request.set_request_number(++requests_);
  request.set_generation(shop_.generation);
  const TraceSpan span(tracer_, TraceCategory::kControl, "ask for work");
  return coordinator_.GetWork(request);
}

absl::Status WorkLoop::Enter(int64_t generation) {
  if (generation != shop_.generation) {
    TESSERA_RETURN_IF_ERROR(EndCalls());
    shop_.board.Forget();
    proven_version_ = -1;
    shop_.generation = generation;
  }
  client_->SetGeneration(generation);
  keeper_->SetGeneration(generation);
  return absl::OkStatus();
}

absl::Status WorkLoop::Do(const v1::GetWorkResponse& work) {
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

absl::Status WorkLoop::Evaluate(const v1::EvaluateWork& work) {
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

absl::Status WorkLoop::Recover(const absl::Status& status,
                               const v1::GetWorkResponse& work) {
  if (status.ok()) return status;
  if (absl::IsAborted(status)) {
    gives_up_last_ = true;
    return absl::OkStatus();
  }
  if (absl::IsAlreadyExists(status)) return ComputesDifferently(status);
  if (!absl::IsOutOfRange(status)) return status;
  // The job went on without this worker: a version is let go when the next
  // one is complete on all shards.
  spdlog::info("fell behind ({}); asking for newer work", status.ToString());
  const int64_t version =
      work.has_train() ? work.train().step() : work.evaluate().version();
  proven_version_ = std::max(proven_version_, version + 1);
  gives_up_last_ = true;
  TESSERA_RETURN_IF_ERROR(EndCalls());
  absl::SleepFor(kResetPause);
  return absl::OkStatus();
}

absl::Status WorkLoop::EndCalls() {
  client_->CancelAll();
  shop_.board.Reset();
  TESSERA_ASSIGN_OR_RETURN(const bool renewed, shop_.RenewRegion());
  if (renewed) client_->UseRegion(shop_.region);
  return absl::OkStatus();
}

double WorkLoop::MicrobatchSeconds() const {
  const TrainTimes& times = range_worker_.times();
  if (times.microbatches == 0) return 0;
  return absl::ToDoubleSeconds(times.compute) /
         static_cast<double>(times.microbatches);
}

}  // namespace tessera
