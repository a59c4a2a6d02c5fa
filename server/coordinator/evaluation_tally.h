// The scores of one evaluation, chunk by chunk.

#ifndef TESSERA_SERVER_COORDINATOR_EVALUATION_TALLY_H_
#define TESSERA_SERVER_COORDINATOR_EVALUATION_TALLY_H_

#include <cstdint>
#include <optional>
#include <vector>

namespace tessera {

// One chunk of an evaluation.
struct ChunkScore {
  double loss_sum = 0;  // Over the chunk's samples.
  int64_t correct = 0;  // Of the chunk's samples; 0 for regression.
};

struct EvaluationResult {
  double loss = 0;      // Mean over the test set.
  double accuracy = 0;  // Likewise.
};

// Not thread-safe.
class EvaluationTally {
 public:
  explicit EvaluationTally(int chunks)
      : scores_(static_cast<size_t>(chunks)), missing_(chunks) {}

  // The first score of a chunk counts; another changes nothing.
  void Add(int chunk, const ChunkScore& score);

  bool complete() const { return missing_ == 0; }

  // Sums in chunk order, so that the last bit does not depend on who scored
  // what, or when. Must be complete.
  EvaluationResult Result(int64_t test_examples) const;

 private:
  std::vector<std::optional<ChunkScore>> scores_;
  int missing_;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_COORDINATOR_EVALUATION_TALLY_H_
