#include "worker/data/generated_data_set.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/base/check.h"
#include "common/base/philox.h"
#include "common/base/status_macros.h"

namespace tessera {
namespace {

constexpr double kMaxBytes = 8.0 * (int64_t{1} << 30);

// Substreams of kGeneratedData. They never change: they are what a job means.
enum Substream : uint32_t {
  kCoefficients = 0,
  kTrainInputs = 1,
  kTrainNoise = 2,
  kTestInputs = 3,
  kTestNoise = 4,
};

std::vector<float> Normals(uint64_t seed, Substream substream, int64_t count) {
  const Philox random(seed, RandomStream::kGeneratedData, substream);
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = random.Normal(i);
  return values;
}

// W, row-major [outputs, features], then b.
struct Coefficients {
  int64_t features = 0;
  int64_t outputs = 0;
  std::vector<float> values;

  double Apply(int64_t output, const float* x) const {
    const float* w = &values[static_cast<size_t>(output * features)];
    double y = values[static_cast<size_t>(outputs * features + output)];
    for (int64_t i = 0; i < features; ++i) y += double{w[i]} * double{x[i]};
    return y;
  }
};

struct GeneratedSplit {
  int64_t examples = 0;
  std::vector<float> inputs;   // [examples, features]
  std::vector<float> targets;  // [examples, outputs]
};

GeneratedSplit Generate(const Coefficients& truth, uint64_t seed,
                        int64_t examples, Substream inputs, Substream noise,
                        double noise_stddev) {
  GeneratedSplit split{
      .examples = examples,
      .inputs = Normals(seed, inputs, examples * truth.features),
      .targets = Normals(seed, noise, examples * truth.outputs)};
  for (int64_t i = 0; i < examples; ++i) {
    const float* x = &split.inputs[static_cast<size_t>(i * truth.features)];
    for (int64_t o = 0; o < truth.outputs; ++o) {
      float& y = split.targets[static_cast<size_t>(i * truth.outputs + o)];
      y = static_cast<float>(truth.Apply(o, x) + noise_stddev * double{y});
    }
  }
  return split;
}

class GeneratedDataSet : public DataSet {
 public:
  GeneratedDataSet(int64_t features, int64_t outputs, GeneratedSplit train,
                   GeneratedSplit test)
      : features_(static_cast<size_t>(features)),
        outputs_(static_cast<size_t>(outputs)),
        train_(std::move(train)),
        test_(std::move(test)) {}

  int64_t size(Split split) const override { return Of(split).examples; }

  void Gather(Split split, absl::Span<const int64_t> indices,
              const Batch& batch) const override {
    TESSERA_CHECK(batch.inputs.size() == indices.size() * features_);
    TESSERA_CHECK(batch.targets.size() == indices.size() * outputs_);
    const GeneratedSplit& from = Of(split);
    for (size_t i = 0; i < indices.size(); ++i) {
      TESSERA_CHECK(indices[i] >= 0 && indices[i] < from.examples);
      const auto index = static_cast<size_t>(indices[i]);
      std::copy_n(&from.inputs[index * features_], features_,
                  &batch.inputs[i * features_]);
      std::copy_n(&from.targets[index * outputs_], outputs_,
                  &batch.targets[i * outputs_]);
    }
  }

 private:
  const GeneratedSplit& Of(Split split) const {
    return split == Split::kTrain ? train_ : test_;
  }

  const size_t features_;
  const size_t outputs_;
  const GeneratedSplit train_;
  const GeneratedSplit test_;
};

// In floating point, where no size overflows.
double BytesNeeded(const v1::GeneratedLinear& linear, double outputs) {
  const double examples = static_cast<double>(linear.train_examples()) +
                          static_cast<double>(linear.test_examples());
  return sizeof(float) * (examples * (linear.features() + outputs) +
                          outputs * (linear.features() + 1.0));
}

}  // namespace

absl::StatusOr<std::unique_ptr<DataSet>> GenerateLinearDataSet(
    const v1::GeneratedLinear& linear, uint64_t seed) {
  v1::Job job;
  *job.mutable_data_set()->mutable_generated_linear() = linear;
  TESSERA_RETURN_IF_ERROR(FactsOfGeneratedData(job).status());
  const int64_t features = linear.features();
  const int64_t outputs = std::max(linear.outputs(), 1);
  const double bytes = BytesNeeded(linear, static_cast<double>(outputs));
  if (bytes > kMaxBytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "data_set.generated_linear: ", bytes / (1 << 30),
        " GiB of samples are more than 8; lower features, outputs or the "
        "numbers of examples"));
  }
  const Coefficients truth{
      .features = features,
      .outputs = outputs,
      .values = Normals(seed, kCoefficients, outputs * (features + 1))};
  return std::make_unique<GeneratedDataSet>(
      features, outputs,
      Generate(truth, seed, linear.train_examples(), kTrainInputs, kTrainNoise,
               linear.noise_stddev()),
      Generate(truth, seed, linear.test_examples(), kTestInputs, kTestNoise,
               linear.noise_stddev()));
}

}  // namespace tessera
