// A model's layers on the CPU, by oneDNN.

#ifndef TESSERA_WORKER_MODEL_CPU_CPU_STACK_H_
#define TESSERA_WORKER_MODEL_CPU_CPU_STACK_H_

#include <memory>

#include "absl/status/statusor.h"
#include "common/job/model_plan.h"
#include "worker/model/layer_stack.h"

namespace tessera {

// `model` may go afterwards. Codes: RESOURCE_EXHAUSTED when memory does not
// suffice, INTERNAL when oneDNN refuses a shape; the message names the layer.
absl::StatusOr<std::unique_ptr<LayerStack>> MakeCpuStack(
    const ModelPlan& model, const StackOptions& options);

}  // namespace tessera

#endif  // TESSERA_WORKER_MODEL_CPU_CPU_STACK_H_
