// A network written plainly, in double precision: what the fast one is checked
// against.

#ifndef TESSERA_TESTS_UNIT_MODEL_REFERENCE_NETWORK_H_
#define TESSERA_TESTS_UNIT_MODEL_REFERENCE_NETWORK_H_

#include <cstdint>
#include <vector>

#include "common/job/model_plan.h"

namespace tessera {

struct ReferenceOptions {
  int samples = 1;
  bool training = false;
  uint64_t seed = 0;
  int64_t first_sample = 0;  // Of the run.
};

// The last layer's values, [samples, ...], for inputs [samples, C, H, W].
std::vector<double> ReferenceForward(const ModelPlan& model,
                                     const std::vector<double>& params,
                                     std::vector<double> inputs,
                                     const ReferenceOptions& options);

// Mean over the samples, of which there are labels.size().
double ReferenceSoftmaxCrossEntropy(const std::vector<double>& outputs,
                                    const std::vector<int32_t>& labels);

// Mean over samples and outputs.
double ReferenceMeanSquaredError(const std::vector<double>& outputs,
                                 const std::vector<float>& targets);

}  // namespace tessera

#endif  // TESSERA_TESTS_UNIT_MODEL_REFERENCE_NETWORK_H_
