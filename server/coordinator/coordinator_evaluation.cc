// What becomes of evaluation scores.

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "server/coordinator/coordinator.h"

namespace tessera {

absl::Status Coordinator::CheckScores(
    int64_t version, int chunk_begin,
    absl::Span<const ChunkScore> scores) const {
  if (version < 0 || !IsEvaluated(job_, version, progress_.last_version())) {
    return absl::InvalidArgumentError(absl::StrCat(
        "version ", version, " is never evaluated: only multiples of ",
        job_.evaluation_interval(), " up to ", progress_.last_version(),
        ", and that one"));
  }
  const int chunks = job_.evaluation_chunks();
  if (scores.empty() || chunk_begin < 0 || chunk_begin >= chunks ||
      scores.size() > static_cast<size_t>(chunks - chunk_begin)) {
    return absl::InvalidArgumentError(
        absl::StrCat(scores.size(), " scores from chunk ", chunk_begin,
                     " on: an evaluation has chunks [0, ", chunks, ")"));
  }
  for (size_t i = 0; i < scores.size(); ++i) {
    const int64_t chunk = chunk_begin + static_cast<int64_t>(i);
    const int64_t samples = std::min<int64_t>(
        job_.chunk_examples(), job_.proto().data_set().test_examples() -
                                   chunk * job_.chunk_examples());
    if (!std::isfinite(scores[i].loss_sum)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "loss of chunk ", chunk, " at version ", version, ": ",
          scores[i].loss_sum, " is not finite; has the training diverged?"));
    }
    if (scores[i].correct < 0 || scores[i].correct > samples) {
      return absl::InvalidArgumentError(absl::StrCat(
          "correct of chunk ", chunk, " at version ", version, ": ",
          scores[i].correct, " is not from 0 to its ", samples, " samples"));
    }
  }
  return absl::OkStatus();
}

absl::Status Coordinator::ReportEvaluation(WorkerId worker, int64_t generation,
                                           int64_t version, int chunk_begin,
                                           absl::Span<const ChunkScore> scores,
                                           absl::Time now) {
  Observe(now);
  // Late, and nobody is to trip over it.
  if (ended()) return absl::OkStatus();
  TESSERA_RETURN_IF_ERROR(Hear(worker));
  TESSERA_RETURN_IF_ERROR(CheckScores(version, chunk_begin, scores));

  if (!IsCurrent(generation)) return absl::OkStatus();

  // Whoever scores a version holds it.
  Prove(version);
  Phase& phase = progress_.current();
  if (phase.key != PhaseKey{PhaseKind::kEvaluate, version}) {
    return absl::OkStatus();
  }
  for (size_t i = 0; i < scores.size(); ++i) {
    const int chunk = chunk_begin + static_cast<int>(i);
    phase.tally.Add(chunk, scores[i]);
    phase.units.Finish({chunk, chunk + 1}, worker, now_);
  }
  last_advance_ = now_;
  if (phase.tally.complete()) {
    history_.AddEvaluation(version, progress_.FinishEvaluation(now_));
  }
  Settle();
  return absl::OkStatus();
}

}  // namespace tessera
