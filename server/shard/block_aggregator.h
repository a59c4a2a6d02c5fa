// One step's gradient of one block, summed along the reduction tree as its
// pieces arrive.
//
// It holds partial sums for disjoint nodes of the tree, never both halves of a
// node: those have been added. For M = 8, after pushes of [0,4), 6, 4, 5:
//
//                     [0,8)
//                 /          \.
//            *[0,4)*         [4,8)         * held
//                           /     \.
//                       *[4,6)*  [6,8)
//                                /   \.
//                              *6*    7    <- completes: ((7 + 6) + [4,6)) +
//                                                                     [0,4)
//
// A range that is covered by one held was counted: it adds nothing. A range
// that covers held ones takes their place: they are pieces of the same sum.
//
// A sum goes to a buffer of its own, not over one of its terms, so a push that
// turns out to hold numbers that are none has changed nothing. It costs no
// memory traffic: the buffer was freed by the push before, as a rule, and is
// still in a cache.

#ifndef TESSERA_SERVER_SHARD_BLOCK_AGGREGATOR_H_
#define TESSERA_SERVER_SHARD_BLOCK_AGGREGATOR_H_

#include <cstddef>
#include <map>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/device/buffer_pool.h"
#include "common/plan/reduction_tree.h"
#include "common/tensor/fragments.h"
#include "common/wire/encoding.h"
#include "server/shard/block_math.h"

namespace tessera {

// The sum over some node of the tree.
struct PartialSum {
  MicrobatchRange range;
  BufferRef values;     // In device memory.
  double loss_sum = 0;  // Added along the same tree.
};

// Not thread-safe. Refers to nothing of a payload once a call has returned,
// except in the GradientSum that it gives.
class BlockAggregator {
 public:
  enum class Outcome {
    kAdded,      // The step still waits for other ranges.
    kDuplicate,  // Counted already; nothing changed.
    kCompletes,  // `total` is the sum of all M; nothing changed yet.
    kNotFinite,  // A value is none, or a sum too large; nothing changed.
  };
  struct Result {
    Outcome outcome = Outcome::kAdded;
    // With kCompletes: not computed yet, so that the optimizer can add and
    // apply in one pass. Good until Clear, and as long as the payload is.
    GradientSum total;
    double total_loss = 0;
  };

  // The first three must outlive it; `sums` gives device memory. Payloads come
  // in `encoding`.
  BlockAggregator(const ReductionTree& tree, const BlockMath& math,
                  BufferPool& sums, v1::Encoding encoding)
      : tree_(tree), math_(math), sums_(sums), encoding_(encoding) {}

  // Adds the gradient of `range`, a node of the tree. Every payload of a step
  // must have the same number of values. Codes: as common/device/device.h, with
  // nothing changed.
  absl::StatusOr<Result> Add(const MicrobatchRange& range,
                             const FragmentedBytes& payload, double loss_sum);

  // Starts the next step.
  void Clear() { held_.clear(); }

  // Ordered by range.
  std::vector<PartialSum> held() const;

 private:
  using Held = std::map<int, PartialSum>;  // By the range's begin.

  bool IsCovered(const MicrobatchRange& range) const;
  // What `range` is added to on its way up, nearest first; and the node that
  // the sum is then of.
  struct Climb {
    std::vector<Held::iterator> siblings;
    MicrobatchRange reached;
  };
  Climb ClimbFrom(const MicrobatchRange& range);
  void RemoveCovered(const MicrobatchRange& range);

  const ReductionTree& tree_;
  const BlockMath& math_;
  BufferPool& sums_;
  const v1::Encoding encoding_;
  Held held_;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_BLOCK_AGGREGATOR_H_
