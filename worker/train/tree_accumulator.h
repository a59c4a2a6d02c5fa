// Sums the microbatch gradients of a range along the job's reduction tree, as
// they are computed one after another.
//
// It works like a binary counter: partial sums of equal size are added as soon
// as there are two, so a range of n microbatches needs at most log2(n) + 1
// vectors. Before microbatch 7 of [0, 8) it holds [0,4) [4,6) [6,7). The last
// microbatch's gradient is final from the back to the front; FoldLast adds what
// is held to any interval of it, so that blocks can leave while backward still
// runs.

#ifndef TESSERA_WORKER_TRAIN_TREE_ACCUMULATOR_H_
#define TESSERA_WORKER_TRAIN_TREE_ACCUMULATOR_H_

#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "common/plan/shard_plan.h"
#include "worker/train/gradient_pool.h"

namespace tessera {

// Sums one range, which must be a node of the tree. Not thread-safe.
class TreeAccumulator {
 public:
  using Gradient = std::shared_ptr<GradientVector>;

  // Adds the next microbatch's whole gradient and mean loss; not for the last.
  void Add(Gradient gradient, double loss);

  // Adds everything held, in tree order, to [interval) of `last`, the gradient
  // of the range's last microbatch. Each element once.
  void FoldLast(const Interval& interval, absl::Span<float> last) const;

  // The loss sum of the range, given its last microbatch's.
  double FoldLastLoss(double last) const;

 private:
  struct Partial {
    int size = 0;  // Microbatches in it.
    Gradient sum;
    double loss = 0;
  };

  std::vector<Partial> partials_;  // Sizes fall from front to back.
};

}  // namespace tessera

#endif  // TESSERA_WORKER_TRAIN_TREE_ACCUMULATOR_H_
