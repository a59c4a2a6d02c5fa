// Models for tests of single layers.

#ifndef TESSERA_TESTS_CONTRACT_MODEL_ONE_LAYER_H_
#define TESSERA_TESTS_CONTRACT_MODEL_ONE_LAYER_H_

#include <string>

#include "common/job/model_plan.h"

namespace tessera {

// A model of one layer, in the job file's words, and without a loss. Its
// parameters start at a place that no vector instruction would call aligned.
ModelPlan OneLayer(const std::string& layer, const ActivationShape& input,
                   const ActivationShape& output);

}  // namespace tessera

#endif  // TESSERA_TESTS_CONTRACT_MODEL_ONE_LAYER_H_
