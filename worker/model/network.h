// A model on one device: forward, backward, evaluation.
//
// Parameters and gradients lie in flat vectors laid out by the job's layout;
// the network owns activations and scratch memory only.

#ifndef TESSERA_WORKER_MODEL_NETWORK_H_
#define TESSERA_WORKER_MODEL_NETWORK_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/device/device.h"
#include "common/job/job.h"
#include "worker/data/dataset.h"

namespace tessera {

enum class PassPart { kForward, kBackward, kLoss };

// Called as a pass goes, so that communication overlaps with it. `need` and
// `final_from` are set; the others may be.
struct PassHooks {
  // Before elements [begin, end) of the parameters are first read, layers in
  // order. Returns once they may be; an error ends the pass with that error.
  std::function<absl::Status(int64_t begin, int64_t end)> need;
  // All elements at or above `begin` of the gradient are final, and the pass no
  // longer reads those of the parameters; `begin` falls from layer to layer,
  // and the last call has begin = 0.
  std::function<absl::Status(int64_t begin)> final_from;
  // The layer's part of the pass begins, after `need`, and ends, before
  // `final_from`. The loss counts as a layer of its own.
  std::function<void(PassPart part, const std::string& layer)> begins;
  std::function<void(PassPart part, const std::string& layer)> ends;
};

struct EvaluationScore {
  double loss_sum = 0;  // Over the samples.
  int64_t correct = 0;  // 0 for regression.
};

struct NetworkOptions {
  // What computes; it must outlive the network. None means the CPU.
  Device* device = nullptr;
  // Whether products on a GPU may round their factors to TensorFloat-32, which
  // is faster and less exact.
  bool tf32 = false;
};

// Not thread-safe. A result is a pure function of the arguments (and of the
// kind of processor): a CPU's kernels run on the calling thread alone, a GPU's
// sum in a fixed order.
class Network {
 public:
  // For batches of up to `max_samples`. `job` must outlive the network. Codes:
  // RESOURCE_EXHAUSTED, INTERNAL when the library refuses a shape, else as
  // common/device/device.h.
  static absl::StatusOr<std::unique_ptr<Network>> Create(
      const Job& job, int max_samples, const NetworkOptions& options = {});

  virtual ~Network() = default;

  // The mean loss over the batch's samples, and in `gradient` (every element is
  // written) its gradient. `params` and `gradient` have layout size. Sample i
  // of the batch is number `first_sample` + i of step `step`'s global batch:
  // dropout masks depend on that number only. The batch must have
  // job.microbatch_size() samples.
  virtual absl::StatusOr<double> Train(absl::Span<const float> params,
                                       const Batch& batch, int64_t step,
                                       int64_t first_sample,
                                       absl::Span<float> gradient,
                                       const PassHooks& hooks) = 0;

  // Loss and hits over the batch's samples, dropout off. Any number of samples
  // up to max_samples. Each sample's result does not depend on the others.
  // `final_from` is not called.
  virtual absl::StatusOr<EvaluationScore> Evaluate(
      absl::Span<const float> params, const Batch& batch,
      const PassHooks& hooks) = 0;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_MODEL_NETWORK_H_
