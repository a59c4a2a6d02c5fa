#include "worker/bench/shard_sums.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/base/vectorize.h"

namespace tessera::bench {

TESSERA_VECTOR_CLONES
void Accumulate(const float* g, size_t count, float* acc) {
  TESSERA_INDEPENDENT_ELEMENTS
  for (size_t i = 0; i < count; ++i) acc[i] += g[i];
}

void Assign(const float* g, size_t count, float* acc) {
  std::memcpy(acc, g, count * sizeof(float));
}

TESSERA_VECTOR_CLONES
void Update(float unit, const float* acc, const float* g, size_t count,
            float* x) {
  if (acc == nullptr) {
    TESSERA_INDEPENDENT_ELEMENTS
    for (size_t i = 0; i < count; ++i) x[i] -= unit * g[i];
    return;
  }
  TESSERA_INDEPENDENT_ELEMENTS
  for (size_t i = 0; i < count; ++i) x[i] -= unit * (acc[i] + g[i]);
}

ShardSums::ShardSums(const ShardPlan& plan, int shard, int workers, float unit)
    : plan_(plan),
      blocks_(plan.ShardBlocks(shard)),
      first_element_(plan.ShardElements(shard).begin),
      workers_(workers),
      unit_(unit),
      x_(static_cast<size_t>(plan.ShardElements(shard).size())),
      sums_(workers > 1 ? x_.size() : 0),
      states_(static_cast<size_t>(blocks_.size())) {
  for (Block& block : states_) {
    block.counts.resize(static_cast<size_t>(workers));
  }
}

absl::Status ShardSums::CheckPush(int worker, int block, int64_t step) const {
  if (!Owns(block)) {
    return absl::OutOfRangeError(absl::StrCat("block ", block, ": this has [",
                                              blocks_.begin, ", ", blocks_.end,
                                              ")"));
  }
  const Block& state = At(block);
  if (step != state.version || state.counts[static_cast<size_t>(worker)] > 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("worker ", worker, " pushes step ", step, " of block ",
                     block, ", which is at ", state.version));
  }
  return absl::OkStatus();
}

int ShardSums::OthersAt(const Block& block, int worker, size_t first,
                        size_t& count) const {
  int others = 0;
  for (int w = 0; w < workers_; ++w) {
    const size_t have = block.counts[static_cast<size_t>(w)];
    if (w == worker || have <= first) continue;
    ++others;
    count = std::min(count, have - first);
  }
  return others;
}

void ShardSums::Add(int worker, int block, const float* values, size_t count) {
  Block& state = states_[static_cast<size_t>(block - blocks_.begin)];
  size_t& have = state.counts[static_cast<size_t>(worker)];
  const auto offset =
      static_cast<size_t>(plan_.BlockElements(block).begin - first_element_);
  while (count > 0) {
    size_t run = count;
    const int others = OthersAt(state, worker, have, run);
    float* x = x_.data() + offset + have;
    float* sum = sums_.data() + offset + have;
    if (others + 1 == workers_) {
      Update(unit_, workers_ > 1 ? sum : nullptr, values, run, x);
    } else if (others == 0) {
      Assign(values, run, sum);
    } else {
      Accumulate(values, run, sum);
    }
    have += run;
    values += run;
    count -= run;
  }
}

bool ShardSums::FinishPush(int block) {
  Block& state = states_[static_cast<size_t>(block - blocks_.begin)];
  if (++state.workers_done < workers_) return false;
  state.workers_done = 0;
  std::fill(state.counts.begin(), state.counts.end(), 0);
  ++state.version;
  return true;
}

absl::Span<const float> ShardSums::values(int block) const {
  const Interval elements = plan_.BlockElements(block);
  return absl::MakeConstSpan(x_).subspan(
      static_cast<size_t>(elements.begin - first_element_),
      static_cast<size_t>(elements.size()));
}

}  // namespace tessera::bench
