#include "server/service/coordinator_handler.h"

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace tessera {
namespace {

void Fill(const NoGrant&, v1::GetWorkResponse& response) {
  response.mutable_none();
}

void Fill(const TrainGrant& grant, v1::GetWorkResponse& response) {
  v1::TrainWork& work = *response.mutable_train();
  work.set_step(grant.step);
  work.set_microbatch_begin(grant.range.begin);
  work.set_microbatch_end(grant.range.end);
}

void Fill(const EvaluateGrant& grant, v1::GetWorkResponse& response) {
  v1::EvaluateWork& work = *response.mutable_evaluate();
  work.set_version(grant.version);
  work.set_chunk_begin(grant.chunk_begin);
  work.set_chunk_end(grant.chunk_end);
}

void Fill(const EndGrant& grant, v1::GetWorkResponse& response) {
  response.mutable_ended()->set_reason(grant.reason);
}

}  // namespace

CoordinatorHandler::CoordinatorHandler(const Job& job,
                                       std::unique_ptr<Coordinator> coordinator,
                                       const CoordinatorOptions& options,
                                       Clock clock, ManifestTaker take_manifest)
    : job_(job),
      options_(options),
      clock_(std::move(clock)),
      take_manifest_(std::move(take_manifest)),
      coordinator_(std::move(coordinator)),
      last_tick_(clock_()) {}

absl::Status CoordinatorHandler::CheckRunning() const {
  if (!stopping_) return absl::OkStatus();
  return absl::UnavailableError("the coordinator's server is stopping");
}

absl::StatusOr<v1::JoinResponse> CoordinatorHandler::Join(
    const v1::JoinRequest& request) {
  if (request.job_fingerprint() != 0 &&
      request.job_fingerprint() != job_.fingerprint()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "this server runs another job (\"", job_.proto().name(),
        "\", fingerprint ", absl::Hex(job_.fingerprint(), absl::kZeroPad16),
        ") than the worker has worked on (",
        absl::Hex(request.job_fingerprint(), absl::kZeroPad16), ")"));
  }
  v1::JoinResponse response;
  *response.mutable_job() = job_.proto();
  response.set_job_fingerprint(job_.fingerprint());
  response.set_shard_count(options_.shard_count);
  response.set_lease_ms(absl::ToInt64Milliseconds(options_.lease));

  MutexLock lock(&mutex_);
  TESSERA_RETURN_IF_ERROR(CheckRunning());
  if (coordinator_->ended()) {
    // Not UNAVAILABLE, which clients take for a reason to try again.
    return absl::FailedPreconditionError(
        absl::StrCat("the job \"", job_.proto().name(), "\" has ended"));
  }
  TESSERA_ASSIGN_OR_RETURN(WorkerId worker,
                           coordinator_->Join(request.label(), Now()));
  response.set_worker_id(worker.value());
  return response;
}

CoordinatorHandler::Wait CoordinatorHandler::WaitForWork(
    const v1::GetWorkRequest& request, GetWorkDone done) {
  Wait wait;
  wait.deadline = DeadlineAfter(request.wait_ms());
  wait.fail = done;
  const auto report = std::make_shared<WorkReport>(
      WorkReport{.have_version = request.have_version(),
                 .microbatch_seconds = request.microbatch_seconds(),
                 .gives_up_last = request.gives_up_last(),
                 .request_number = request.request_number(),
                 .generation = request.generation()});
  wait.look = [this, worker = WorkerId(request.worker_id()), report,
               deadline = wait.deadline, done = std::move(done)](absl::Time now)
                  ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> Answer {
    const absl::StatusOr<Grant> grant =
        coordinator_->GetWork(worker, *report, now);
    // What was reported counts once, however often the call is looked at.
    report->microbatch_seconds = 0;
    report->gives_up_last = false;
    if (!grant.ok()) return [done, why = grant.status()] { done(why); };
    if (std::holds_alternative<NoGrant>(*grant) && now < deadline) {
      return nullptr;
    }
    v1::GetWorkResponse response;
    std::visit([&response](const auto& g) { Fill(g, response); }, *grant);
    response.set_generation(coordinator_->generation());
    return [done, response = std::move(response)] { done(response); };
  };
  return wait;
}

uint64_t CoordinatorHandler::GetWork(const v1::GetWorkRequest& request,
                                     GetWorkDone done) {
  Answers answers;
  uint64_t ticket = 0;
  {
    MutexLock lock(&mutex_);
    if (absl::Status status = CheckRunning(); !status.ok()) {
      answers.push_back([done = std::move(done), status] { done(status); });
    } else {
      ticket = Add(WaitForWork(request, std::move(done)));
      answers = Reexamine();
    }
  }
  GiveAll(answers);
  return ticket;
}

absl::StatusOr<v1::RenewResponse> CoordinatorHandler::Renew(
    const v1::RenewRequest& request) {
  MutexLock lock(&mutex_);
  TESSERA_RETURN_IF_ERROR(CheckRunning());
  TESSERA_ASSIGN_OR_RETURN(bool recall,
                           coordinator_->Renew(WorkerId(request.worker_id()),
                                               request.generation(), Now()));
  v1::RenewResponse response;
  response.set_recall(recall);
  return response;
}

absl::StatusOr<v1::ReportEvaluationResponse>
CoordinatorHandler::ReportEvaluation(
    const v1::ReportEvaluationRequest& request) {
  std::vector<ChunkScore> scores;
  scores.reserve(static_cast<size_t>(request.results_size()));
  for (const v1::ChunkResult& result : request.results()) {
    scores.push_back(
        {.loss_sum = result.loss_sum(), .correct = result.correct()});
  }
  Answers answers;
  {
    MutexLock lock(&mutex_);
    TESSERA_RETURN_IF_ERROR(CheckRunning());
    TESSERA_RETURN_IF_ERROR(coordinator_->ReportEvaluation(
        WorkerId(request.worker_id()), request.generation(), request.version(),
        request.chunk_begin(), scores, Now()));
    answers = Reexamine();
  }
  GiveAll(answers);
  return v1::ReportEvaluationResponse();
}

absl::StatusOr<v1::LeaveResponse> CoordinatorHandler::Leave(
    const v1::LeaveRequest& request) {
  Answers answers;
  {
    MutexLock lock(&mutex_);
    TESSERA_RETURN_IF_ERROR(CheckRunning());
    coordinator_->Leave(WorkerId(request.worker_id()), Now());
    answers = Reexamine();
  }
  GiveAll(answers);
  return v1::LeaveResponse();
}

absl::StatusOr<v1::GetStatusResponse> CoordinatorHandler::GetStatus() {
  MutexLock lock(&mutex_);
  TESSERA_RETURN_IF_ERROR(CheckRunning());
  return coordinator_->Status(Now());
}

void CoordinatorHandler::OnStepApplied(int64_t generation, int64_t step,
                                       double mean_loss) {
  // Frees no work: a worker's proof that the step is complete does.
  MutexLock lock(&mutex_);
  coordinator_->OnStepApplied(generation, step, mean_loss, Now());
}

absl::Status CoordinatorHandler::RequestStop() {
  Answers answers;
  {
    MutexLock lock(&mutex_);
    TESSERA_RETURN_IF_ERROR(CheckRunning());
    coordinator_->RequestStop(Now());
    answers = Reexamine();
  }
  GiveAll(answers);
  return absl::OkStatus();
}

}  // namespace tessera
