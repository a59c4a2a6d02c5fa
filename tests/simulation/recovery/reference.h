// What a job comes to when nothing ever goes wrong: one straight line of steps,
// one after the other.

#ifndef TESSERA_TESTS_SIMULATION_RECOVERY_REFERENCE_H_
#define TESSERA_TESTS_SIMULATION_RECOVERY_REFERENCE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/job/job.h"
#include "common/plan/reduction_tree.h"
#include "server/coordinator/evaluation_tally.h"
#include "tessera/v1/coordinator.pb.h"

namespace tessera {

// Immutable.
class Reference {
 public:
  // The job's optimizer must be SGD with momentum, as MakeRecoveryJob's is.
  explicit Reference(const Job& job);

  // The flat vector, and the momenta, of a version.
  const std::vector<float>& Parameters(int64_t version) const {
    return parameters_.at(static_cast<size_t>(version));
  }
  const std::vector<float>& Momenta(int64_t version) const {
    return momenta_.at(static_cast<size_t>(version));
  }

  // The sum of the range's gradients, along the tree: what a worker pushes.
  std::vector<float> Gradient(int64_t step, const MicrobatchRange& range) const;

  // The sum of the range's losses, exact in any order.
  double LossSum(int64_t step, const MicrobatchRange& range) const;

  ChunkScore Score(int64_t version, int chunk) const;

  int64_t last_version() const { return last_version_; }

  // How a run that has ended differs from what it should be, or "".
  std::string DifferenceOf(const v1::GetStatusResponse& status) const;

 private:
  void TakeStep(int64_t step);
  void FindTheEnd();
  EvaluationResult ResultOf(int64_t version) const;

  const Job& job_;
  std::vector<std::vector<float>> parameters_;
  std::vector<std::vector<float>> momenta_;
  std::vector<int64_t> evaluated_;
  int64_t last_version_ = 0;
  v1::EndReason end_reason_ = v1::END_REASON_UNSPECIFIED;
};

// A small job whose shape, and whose checkpoints and stop rules, are drawn from
// the seed.
Job MakeRecoveryJob(uint64_t seed);

}  // namespace tessera

#endif  // TESSERA_TESTS_SIMULATION_RECOVERY_REFERENCE_H_
