// What every device's layers must do; the device's test says how to get them.

#ifndef TESSERA_TESTS_CONTRACT_MODEL_LAYER_CONTRACT_H_
#define TESSERA_TESTS_CONTRACT_MODEL_LAYER_CONTRACT_H_

#include <memory>

#include "absl/status/statusor.h"
#include "common/job/model_plan.h"
#include "worker/model/layer_stack.h"

namespace tessera {

// The device's, fresh: nothing of an earlier one need live on.
absl::StatusOr<std::unique_ptr<LayerStack>> MakeStackUnderTest(
    const ModelPlan& model, const StackOptions& options);

}  // namespace tessera

#endif  // TESSERA_TESTS_CONTRACT_MODEL_LAYER_CONTRACT_H_
