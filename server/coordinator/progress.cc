#include "server/coordinator/progress.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace tessera {

Progress::Progress(const Job& job, absl::Time now)
    : job_(job),
      rules_(job.proto().stop(), job.max_steps()),
      current_(MakePhase({PhaseKind::kTrain, 0}, now)),
      last_version_(job.max_steps()) {}

Phase Progress::MakePhase(const PhaseKey& key, absl::Time now) const {
  const int size = PhaseSize(job_, key);
  return {.key = key,
          .units = UnitLedger(size, now),
          .tally = EvaluationTally(key.is_train() ? 0 : size),
          .started = now};
}

Phase* Progress::MakeNext(absl::Time now) {
  if (!current_.key.is_train()) return nullptr;
  if (!next_.has_value()) {
    const auto key = PhaseAfter(job_, current_.key, last_version_);
    TESSERA_CHECK(key.has_value());
    next_ = MakePhase(*key, now);
  }
  return &*next_;
}

Phase* Progress::Find(const PhaseKey& key) {
  if (current_.key == key) return &current_;
  if (next_.has_value() && next_->key == key) return &*next_;
  return nullptr;
}

void Progress::ReleaseAll(WorkerId worker, absl::Time now) {
  current_.units.ReleaseAll(worker, now);
  if (next_.has_value()) next_->units.ReleaseAll(worker, now);
}

void Progress::ReleaseUnstarted(WorkerId worker, absl::Time now) {
  if (!current_.key.is_train()) current_.units.ReleaseAll(worker, now);
  if (next_.has_value()) next_->units.ReleaseAll(worker, now);
}

int64_t Progress::NewestPossibleVersion() const {
  const int64_t version = current_.key.version;
  if (!current_.key.is_train() || !current_.units.ever_leased()) return version;
  const bool next_step_granted =
      next_.has_value() && next_->key.is_train() && next_->units.ever_leased();
  return next_step_granted ? version + 2 : version + 1;
}

void Progress::FinishTraining(absl::Time now) {
  TESSERA_CHECK(current_.key.is_train() && !ended());
  current_ = std::move(*MakeNext(now));
  current_.started = now;
  next_.reset();
  memory_at_version_ = rules_.memory();
}

EvaluationResult Progress::FinishEvaluation(absl::Time now) {
  TESSERA_CHECK(!current_.key.is_train() && !ended());
  const int64_t version = current_.key.version;
  const EvaluationResult result =
      current_.tally.Result(job_.proto().data_set().test_examples());
  evaluated_version_ = version;
  // An evaluation that is only due to a stop is none of the job's own.
  if (IsEvaluated(job_, version, job_.max_steps())) {
    end_reason_ = rules_.AfterEvaluation(version, result);
    if (ended()) return result;
  }
  const auto key = PhaseAfter(job_, current_.key, last_version_);
  if (key.has_value()) {
    current_ = MakePhase(*key, now);
  } else {
    EndNow(v1::END_REASON_STOPPED);
  }
  return result;
}

void Progress::Restart(int64_t version, const StopMemory& memory,
                       absl::Time now) {
  rules_.Restart(memory);
  memory_at_version_ = memory;
  last_version_ = std::max(last_version_, version);
  const PhaseKind kind = IsEvaluated(job_, version, last_version_)
                             ? PhaseKind::kEvaluate
                             : PhaseKind::kTrain;
  current_ = MakePhase({kind, version}, now);
  next_.reset();
  evaluated_version_ = -1;
  end_reason_ = v1::END_REASON_UNSPECIFIED;
}

void Progress::StopSoon(absl::Time now) {
  if (ended() || stopping_) return;
  stopping_ = true;
  last_version_ = std::min(last_version_, NewestPossibleVersion());
  // What was granted of the next phase leads to the last version, and stays;
  // otherwise another phase may follow from now on.
  if (next_.has_value() && !next_->units.ever_leased()) next_.reset();
  if (!current_.key.is_train() || current_.key.version < last_version_) return;
  if (evaluated_version_ == last_version_) {
    EndNow(v1::END_REASON_STOPPED);
  } else {
    current_ = MakePhase({PhaseKind::kEvaluate, last_version_}, now);
  }
}

}  // namespace tessera
