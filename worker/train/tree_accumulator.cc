#include "worker/train/tree_accumulator.h"

#include <utility>

#include "common/base/check.h"

namespace tessera {
namespace {

// right <- left + right, left operand first as in the tree.
void AddInto(const float* left, float* right, int64_t count) {
  for (int64_t i = 0; i < count; ++i) right[i] = left[i] + right[i];
}

}  // namespace

void TreeAccumulator::Add(Gradient gradient, double loss) {
  Partial next{1, std::move(gradient), loss};
  while (!partials_.empty() && partials_.back().size == next.size) {
    const Partial& left = partials_.back();
    AddInto(left.sum->data(), next.sum->data(),
            static_cast<int64_t>(next.sum->size()));
    next.loss = left.loss + next.loss;
    next.size += left.size;
    partials_.pop_back();
  }
  partials_.push_back(std::move(next));
}

void TreeAccumulator::FoldLast(const Interval& interval,
                               absl::Span<float> last) const {
  TESSERA_CHECK(interval.begin >= 0 &&
                interval.end <= static_cast<int64_t>(last.size()));
  for (auto left = partials_.rbegin(); left != partials_.rend(); ++left) {
    AddInto(left->sum->data() + interval.begin, last.data() + interval.begin,
            interval.size());
  }
}

double TreeAccumulator::FoldLastLoss(double last) const {
  for (auto left = partials_.rbegin(); left != partials_.rend(); ++left) {
    last = left->loss + last;
  }
  return last;
}

}  // namespace tessera
