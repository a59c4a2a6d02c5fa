#include "worker/bench/closed_form.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/check.h"
#include "common/tensor/bfloat16.h"

namespace tessera::bench {
namespace {

constexpr int64_t kExactIntegers = int64_t{1} << 24;

}  // namespace

int MicrobatchesFor(int workers) {
  return static_cast<int>(std::bit_ceil(static_cast<unsigned>(workers)));
}

MicrobatchRange RangeOf(int worker, int workers) {
  TESSERA_CHECK(worker >= 0 && worker < workers);
  const int doubles = MicrobatchesFor(workers) - workers;
  if (worker < doubles) return {2 * worker, 2 * worker + 2};
  return {doubles + worker, doubles + worker + 1};
}

ClosedForm::ClosedForm(int workers, float unit, v1::Encoding pull_encoding)
    : unit_(unit), pull_encoding_(pull_encoding), sums_(kPeriod) {
  for (int64_t i = 0; i < kPeriod; ++i) {
    float& sum = sums_[static_cast<size_t>(i)];
    for (int w = 0; w < workers; ++w) sum += Gradient(w, i);
    largest_sum_ = std::max(largest_sum_, std::abs(sum));
  }
}

float ClosedForm::Gradient(int worker, int64_t i) {
  // Knuth's multiplicative hashing, two bits of it.
  const uint64_t key = static_cast<uint64_t>(i % kPeriod) * 2654435761u +
                       static_cast<uint64_t>(worker) * 0x9e3779b97f4a7c15u;
  static constexpr float kValues[] = {-2, -1, 1, 2};
  return kValues[(key * 0x9e3779b97f4a7c15u) >> 62];
}

void ClosedForm::FillGradient(int worker, int64_t first,
                              absl::Span<float> to) const {
  std::vector<float> row(kPeriod);
  for (int64_t i = 0; i < kPeriod; ++i) {
    row[static_cast<size_t>(i)] = Gradient(worker, i);
  }
  auto at = static_cast<size_t>(first % kPeriod);
  for (float& value : to) {
    value = row[at];
    if (++at == row.size()) at = 0;
  }
}

float ClosedForm::Expected(int64_t i, int64_t steps) const {
  const float sum = sums_[static_cast<size_t>(i % kPeriod)];
  // Subtracting makes it 0 and not -0 where the sum is, as x - 0 is.
  const float value = 0.0f - static_cast<float>(steps) * sum * unit_;
  if (pull_encoding_ != v1::ENCODING_BFLOAT16) return value;
  return FromBfloat16(ToBfloat16(value));
}

int64_t ClosedForm::max_steps() const {
  return kExactIntegers /
         std::max<int64_t>(static_cast<int64_t>(largest_sum_), 1);
}

const std::vector<float>& ClosedForm::Row(int64_t steps) {
  CachedRow& row = rows_[steps % kRows];
  if (row.steps == steps) return row.values;
  row.values.resize(kPeriod);
  for (int64_t i = 0; i < kPeriod; ++i) {
    row.values[static_cast<size_t>(i)] = Expected(i, steps);
  }
  row.steps = steps;
  return row.values;
}

absl::Status ClosedForm::Check(int64_t first, absl::Span<const float> values,
                               int64_t steps) {
  const std::vector<float>& row = Row(steps);
  auto at = static_cast<size_t>(first % kPeriod);
  size_t done = 0;
  while (done < values.size()) {
    const size_t count = std::min(values.size() - done, row.size() - at);
    if (std::memcmp(values.data() + done, row.data() + at,
                    count * sizeof(float)) != 0) {
      size_t bad = 0;
      while (std::bit_cast<uint32_t>(values[done + bad]) ==
             std::bit_cast<uint32_t>(row[at + bad])) {
        ++bad;
      }
      return absl::DataLossError(absl::StrFormat(
          "element %d after %d steps is %.9g where %.9g is right",
          first + static_cast<int64_t>(done + bad), steps, values[done + bad],
          row[at + bad]));
    }
    done += count;
    at = 0;
  }
  return absl::OkStatus();
}

}  // namespace tessera::bench
