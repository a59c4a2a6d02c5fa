// The contract on the CPU.

#include "tests/contract/model/layer_contract.h"
#include "worker/model/cpu/cpu_stack.h"

// Without this, AddressSanitizer ends the process where an allocation should
// fail.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() {
  return "allocator_may_return_null=1";
}

namespace tessera {

absl::StatusOr<std::unique_ptr<LayerStack>> MakeStackUnderTest(
    const ModelPlan& model, const StackOptions& options) {
  return MakeCpuStack(model, options);
}

}  // namespace tessera
