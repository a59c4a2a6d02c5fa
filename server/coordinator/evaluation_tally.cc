#include "server/coordinator/evaluation_tally.h"

#include "common/base/check.h"

namespace tessera {

void EvaluationTally::Add(int chunk, const ChunkScore& score) {
  std::optional<ChunkScore>& slot = scores_.at(static_cast<size_t>(chunk));
  if (slot.has_value()) return;
  slot = score;
  --missing_;
}

EvaluationResult EvaluationTally::Result(int64_t test_examples) const {
  TESSERA_CHECK(complete() && test_examples > 0);
  double loss_sum = 0;
  int64_t correct = 0;
  for (const std::optional<ChunkScore>& score : scores_) {
    loss_sum += score->loss_sum;
    correct += score->correct;
  }
  const auto examples = static_cast<double>(test_examples);
  return {.loss = loss_sum / examples,
          .accuracy = static_cast<double>(correct) / examples};
}

}  // namespace tessera
