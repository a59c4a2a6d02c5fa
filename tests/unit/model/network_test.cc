// Whole networks: loss and gradient against a plain double-precision network,
// hooks, and the promise that the same arguments give the same bits.

#include "worker/model/network.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/philox.h"
#include "tests/support/status.h"
#include "tests/unit/model/network_device.h"
#include "tests/unit/model/reference_network.h"

extern "C" {
int omp_get_max_threads(void);
void omp_set_num_threads(int threads);
}

namespace tessera {
namespace {

using Floats = std::vector<float>;

constexpr char kSoftmax[] = R"pb(
  layers { flatten {} }
  layers { dense {} }
  loss: LOSS_SOFTMAX_CROSS_ENTROPY
)pb";

constexpr char kMlp[] = R"pb(
  layers { dropout { rate: 0.2 } }
  layers { flatten {} }
  layers { dense { units: 19 } }
  layers { relu {} }
  layers { dropout { rate: 0.5 } }
  layers { dense { units: 6 } }
  layers { relu {} }
  layers { dense {} }
  loss: LOSS_SOFTMAX_CROSS_ENTROPY
)pb";

constexpr char kCnn[] = R"pb(
  layers { conv2d { filters: 4 kernel: 3 padding: 1 } }
  layers { relu {} }
  layers { max_pool { size: 2 } }
  layers { conv2d { filters: 18 kernel: 3 padding: 1 } }
  layers { relu {} }
  layers { max_pool { size: 2 } }
  layers { flatten {} }
  layers { dense { units: 11 } }
  layers { relu {} }
  layers { dense {} }
  loss: LOSS_SOFTMAX_CROSS_ENTROPY
)pb";

// What the other does not have: two ReLUs in a row and one at the very front,
// dropout and a dense layer on spatial values that oneDNN keeps in blocks, a
// strided convolution after another, pooling before a ReLU.
constexpr char kOddCnn[] = R"pb(
  layers { relu {} }
  layers { conv2d { filters: 16 kernel: 3 } }
  layers { relu {} }
  layers { relu {} }
  layers { dropout { rate: 0.25 } }
  layers { conv2d { filters: 5 kernel: 3 stride: 2 padding: 2 } }
  layers { max_pool { size: 2 stride: 1 } }
  layers { relu {} }
  layers { conv2d { filters: 7 kernel: 4 } }
  layers { dense {} }
  loss: LOSS_SOFTMAX_CROSS_ENTROPY
)pb";

// Everything but the model: 9x10 images of two channels, 3 classes.
Job MakeJob(const std::string& model, int samples, int microbatches = 1) {
  const auto proto = ParseJobText(
      absl::StrCat("model {", model, "} batch_size: ", samples * microbatches,
                   " microbatches: ", microbatches, R"pb(
        data_set {
          idx {}
          sample_shape { height: 9 width: 10 channels: 2 }
          classes: 3
          train_examples: 1000
          test_examples: 100
        }
        optimizer { sgd {} }
        learning_rate { base: 0.1 }
        seed: 9
        stop { steps: 1000 }
      )pb"));
  REQUIRE_OK(proto);
  auto job = Job::Create(*proto);
  REQUIRE_OK(job);
  return *std::move(job);
}

// Multi-output linear regression.
Job MakeRegressionJob(int samples) {
  auto proto = ParseJobText(absl::StrCat("batch_size: ", samples, R"pb(
    microbatches: 1
    data_set {
      generated_linear {
        features: 7
        outputs: 3
        train_examples: 1000
        test_examples: 100
      }
    }
    model {
      layers { dense { units: 5 } }
      layers { dense {} }
      loss: LOSS_MEAN_SQUARED_ERROR
    }
    optimizer { sgd {} }
    learning_rate { base: 0.1 }
    stop { steps: 1 }
  )pb"));
  REQUIRE_OK(proto);
  REQUIRE_OK(ResolveDataSet(*FactsOfGeneratedData(*proto), *proto));
  auto job = Job::Create(*proto);
  REQUIRE_OK(job);
  return *std::move(job);
}

Floats Normals(int64_t count, uint32_t substream, float scale = 1) {
  const Philox random(31, RandomStream::kGeneratedData, substream);
  Floats values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = scale * random.Normal(i);
  }
  return values;
}

Floats MakeParams(const Job& job) {
  return Normals(job.layout().total_elements(), 1, 0.3f);
}

// Samples with memory of their own.
struct Samples {
  Floats inputs;
  std::vector<int32_t> labels;
  Floats targets;

  Samples(const Job& job, int count)
      : inputs(Normals(count * job.model().layers[0].input.size(), 2)),
        targets(Normals(count * job.model().outputs, 3)) {
    for (int i = 0; i < count; ++i) labels.push_back(i % job.model().outputs);
  }

  Batch batch() { return From(0, labels.size()); }

  // Samples [begin, begin + count).
  Batch From(size_t begin, size_t count) {
    const size_t size = inputs.size() / labels.size();
    const size_t outputs = targets.size() / labels.size();
    return {
        .inputs = absl::MakeSpan(inputs).subspan(begin * size, count * size),
        .labels = absl::MakeSpan(labels).subspan(begin, count),
        .targets =
            absl::MakeSpan(targets).subspan(begin * outputs, count * outputs)};
  }
};

PassHooks NoHooks() {
  return {.need = [](int64_t, int64_t) { return absl::OkStatus(); },
          .final_from = [](int64_t) { return absl::OkStatus(); }};
}

std::unique_ptr<Network> MakeNetwork(const Job& job, int max_samples = 100) {
  auto network =
      Network::Create(job, max_samples, {.device = &NetworkDevice()});
  REQUIRE_OK(network);
  return *std::move(network);
}

struct TrainResult {
  double loss = 0;
  Floats gradient;
  friend bool operator==(const TrainResult&, const TrainResult&) = default;
};

TrainResult Train(Network& network, const Floats& params, const Batch& batch,
                  int64_t step = 0, int64_t first_sample = 0) {
  TrainResult result;
  result.gradient.assign(params.size(), 1e30f);
  const auto loss = network.Train(params, batch, step, first_sample,
                                  absl::MakeSpan(result.gradient), NoHooks());
  REQUIRE_OK(loss);
  result.loss = *loss;
  return result;
}

double ReferenceLoss(const Job& job, const std::vector<double>& params,
                     const Samples& samples, const ReferenceOptions& options) {
  const auto outputs =
      ReferenceForward(job.model(), params,
                       {samples.inputs.begin(), samples.inputs.end()}, options);
  return job.model().loss == v1::LOSS_SOFTMAX_CROSS_ENTROPY
             ? ReferenceSoftmaxCrossEntropy(outputs, samples.labels)
             : ReferenceMeanSquaredError(outputs, samples.targets);
}

// The reference is so exact that a step of 1e-6 is enough: no ReLU or maximum
// that matters changes over within it.
double ReferenceSlope(const Job& job, std::vector<double> params,
                      const Samples& samples, const ReferenceOptions& options,
                      size_t i) {
  constexpr double kStep = 1e-6;
  const double kept = params[i];
  params[i] = kept + kStep;
  const double above = ReferenceLoss(job, params, samples, options);
  params[i] = kept - kStep;
  return (above - ReferenceLoss(job, params, samples, options)) / (2 * kStep);
}

void CheckAgainstReference(const Job& job) {
  const int count = job.microbatch_size();
  Samples samples(job, count);
  const Floats params = MakeParams(job);
  constexpr int64_t kStep = 3, kFirst = 2;
  const auto network = MakeNetwork(job);
  const TrainResult result =
      Train(*network, params, samples.batch(), kStep, kFirst);
  const std::vector<double> exact(params.begin(), params.end());
  const ReferenceOptions options = {
      .samples = count,
      .training = true,
      .seed = job.proto().seed(),
      .first_sample = kStep * job.batch_size() + kFirst};
  REQUIRE(result.loss ==
          Approx(ReferenceLoss(job, exact, samples, options)).epsilon(1e-6));
  float largest = 0;
  for (float g : result.gradient) largest = std::max(largest, std::abs(g));
  // Some 300 elements, a stride apart that meets every tensor.
  const size_t stride = params.size() / 300 + 1;
  for (size_t i = 0; i < params.size(); i += stride) {
    CAPTURE(i);
    const double slope = ReferenceSlope(job, exact, samples, options, i);
    REQUIRE(std::abs(result.gradient[i] - slope) < 2e-6 * (1 + largest));
  }
}

TEST_CASE("loss and gradient are those of the plain network") {
  const std::string model = GENERATE(kSoftmax, kMlp, kCnn, kOddCnn);
  CAPTURE(model);
  CheckAgainstReference(MakeJob(model, 3));
}

TEST_CASE("so are those of regression") {
  CheckAgainstReference(MakeRegressionJob(4));
}

TEST_CASE("hooks see all parameters once, in order, before and after") {
  const Job job = MakeJob(GENERATE(kSoftmax, kMlp, kCnn, kOddCnn), 2);
  Samples samples(job, 2);
  const Floats params = MakeParams(job);
  Floats gradient(params.size());
  const int64_t total = job.layout().total_elements();
  int64_t needed = 0;
  int64_t final_from = total;
  const PassHooks hooks = {.need =
                               [&](int64_t begin, int64_t end) {
                                 REQUIRE(begin == needed);
                                 REQUIRE(end > begin);
                                 needed = end;
                                 return absl::OkStatus();
                               },
                           .final_from =
                               [&](int64_t begin) {
                                 REQUIRE(needed == total);
                                 REQUIRE(begin < final_from);
                                 final_from = begin;
                                 return absl::OkStatus();
                               }};
  const auto network = MakeNetwork(job);
  REQUIRE_OK(network->Train(params, samples.batch(), 0, 0,
                            absl::MakeSpan(gradient), hooks));
  REQUIRE(needed == total);
  REQUIRE(final_from == 0);
  needed = 0;
  REQUIRE_OK(network->Evaluate(params, samples.batch(), hooks));
  REQUIRE(needed == total);
}

TEST_CASE("parameters are read after need, and not after final_from") {
  const Job job = MakeJob(GENERATE(kMlp, kCnn, kOddCnn), 2);
  Samples samples(job, 2);
  const Floats expected_params = MakeParams(job);
  const auto network = MakeNetwork(job);
  const TrainResult expected =
      Train(*network, expected_params, samples.batch());
  // Nothing is there until it is needed; what is final is spoilt at once.
  Floats params(expected_params.size(), std::nanf(""));
  Floats gradient(params.size());
  Floats seen(params.size());
  int64_t end = job.layout().total_elements();
  const PassHooks hooks = {
      .need =
          [&](int64_t begin, int64_t need_end) {
            std::copy(expected_params.begin() + begin,
                      expected_params.begin() + need_end,
                      params.begin() + begin);
            return absl::OkStatus();
          },
      .final_from =
          [&](int64_t begin) {
            std::copy(gradient.begin() + begin, gradient.begin() + end,
                      seen.begin() + begin);
            std::fill(params.begin() + begin, params.begin() + end,
                      std::nanf(""));
            std::fill(gradient.begin() + begin, gradient.begin() + end,
                      std::nanf(""));
            end = begin;
            return absl::OkStatus();
          }};
  const auto loss = network->Train(params, samples.batch(), 0, 0,
                                   absl::MakeSpan(gradient), hooks);
  REQUIRE_OK(loss);
  REQUIRE(*loss == expected.loss);
  REQUIRE(seen == expected.gradient);
}

// What a pass reports, as "forward conv1", with the other hooks between.
std::vector<std::string> ReportOf(
    const std::function<void(const PassHooks&)>& pass) {
  std::vector<std::string> report;
  const std::vector<std::string> parts = {"forward ", "backward ", "loss "};
  std::string open;
  const PassHooks hooks = {
      .need =
          [&](int64_t, int64_t) {
            REQUIRE(open.empty());
            report.emplace_back("need");
            return absl::OkStatus();
          },
      .final_from =
          [&](int64_t) {
            REQUIRE(open.empty());
            report.emplace_back("final");
            return absl::OkStatus();
          },
      .begins =
          [&](PassPart part, const std::string& layer) {
            REQUIRE(open.empty());
            open = parts[static_cast<size_t>(part)] + layer;
          },
      .ends =
          [&](PassPart part, const std::string& layer) {
            REQUIRE(open == parts[static_cast<size_t>(part)] + layer);
            report.push_back(std::exchange(open, ""));
          }};
  pass(hooks);
  REQUIRE(open.empty());
  return report;
}

TEST_CASE("every layer's part of a pass is reported by name") {
  const Job job = MakeJob(R"pb(
                            layers {
                              name: "c"
                              conv2d { filters: 2 kernel: 3 }
                            }
                            layers {
                              name: "f"
                              flatten {}
                            }
                            layers {
                              name: "d"
                              dense {}
                            }
                            loss: LOSS_SOFTMAX_CROSS_ENTROPY
                          )pb",
                          2);
  Samples samples(job, 2);
  const Floats params = MakeParams(job);
  Floats gradient(params.size());
  const auto network = MakeNetwork(job);
  // How values must be reordered between layers is each device's own matter.
  const auto without_reorders = [](std::vector<std::string> report) {
    std::erase_if(report, [](const std::string& line) {
      return line.find("(reorder)") != std::string::npos;
    });
    return report;
  };
  using Lines = std::vector<std::string>;
  const auto training = without_reorders(ReportOf([&](const PassHooks& hooks) {
    REQUIRE_OK(network->Train(params, samples.batch(), 0, 0,
                              absl::MakeSpan(gradient), hooks));
  }));
  Lines expected = {"need", "forward c", "need", "forward d", "loss loss"};
  // A GPU is told all that there is to do before the first gradient is awaited.
  const Lines backward =
      NetworkDevice().kind() == DeviceKind::kCpu
          ? Lines{"backward d", "final", "backward c", "final"}
          : Lines{"backward d", "backward c", "final", "final"};
  expected.insert(expected.end(), backward.begin(), backward.end());
  REQUIRE(training == expected);
  // Two batches of 32, of which the second needs nothing new.
  Samples many(job, 40);
  REQUIRE(without_reorders(ReportOf([&](const PassHooks& hooks) {
            REQUIRE_OK(network->Evaluate(params, many.batch(), hooks));
          })) == Lines{"need", "forward c", "need", "forward d", "forward c",
                       "forward d"});
}

TEST_CASE("an error from a hook ends the pass with that error") {
  const Job job = MakeJob(kCnn, 2);
  Samples samples(job, 2);
  const Floats params = MakeParams(job);
  Floats gradient(params.size());
  const auto network = MakeNetwork(job);
  // The n-th call of either hook fails; there are four of each.
  for (int fail_at = 0; fail_at < 8; ++fail_at) {
    CAPTURE(fail_at);
    int calls = 0;
    const auto count = [&] {
      return calls++ == fail_at ? absl::AbortedError("called back")
                                : absl::OkStatus();
    };
    const PassHooks hooks = {.need = [&](int64_t, int64_t) { return count(); },
                             .final_from = [&](int64_t) { return count(); }};
    REQUIRE_ERROR(network->Train(params, samples.batch(), 0, 0,
                                 absl::MakeSpan(gradient), hooks),
                  absl::StatusCode::kAborted, "called back");
    REQUIRE(calls == fail_at + 1);
    if (fail_at >= 4) continue;
    calls = 0;
    REQUIRE_ERROR(network->Evaluate(params, samples.batch(), hooks),
                  absl::StatusCode::kAborted, "called back");
    REQUIRE(calls == fail_at + 1);
  }
  // The network is as good as new.
  REQUIRE(Train(*network, params, samples.batch()) ==
          Train(*MakeNetwork(job), params, samples.batch()));
}

TEST_CASE("the same bits in every network, run and memory") {
  const Job job = MakeJob(GENERATE(kMlp, kCnn, kOddCnn), 5);
  Samples samples(job, 5);
  const Floats params = MakeParams(job);
  const auto network = MakeNetwork(job);
  const TrainResult expected = Train(*network, params, samples.batch(), 2, 1);
  REQUIRE(Train(*network, params, samples.batch(), 2, 1) == expected);
  // Floats at every place relative to a cache line.
  for (size_t shift = 0; shift < 16; ++shift) {
    CAPTURE(shift);
    const auto other = MakeNetwork(job);
    Floats moved_params(shift);
    moved_params.insert(moved_params.end(), params.begin(), params.end());
    Floats moved_inputs(16 - shift);
    moved_inputs.insert(moved_inputs.end(), samples.inputs.begin(),
                        samples.inputs.end());
    Floats gradient(shift + params.size());
    Batch batch = samples.batch();
    batch.inputs = absl::MakeSpan(moved_inputs).subspan(16 - shift);
    const auto loss =
        other->Train(absl::MakeSpan(moved_params).subspan(shift), batch, 2, 1,
                     absl::MakeSpan(gradient).subspan(shift), NoHooks());
    REQUIRE_OK(loss);
    REQUIRE(*loss == expected.loss);
    REQUIRE(Floats(gradient.begin() + static_cast<int64_t>(shift),
                   gradient.end()) == expected.gradient);
  }
}

// Large enough that oneDNN would share the work.
Job LargerJob() {
  return MakeJob(R"pb(
                   layers { conv2d { filters: 32 kernel: 3 padding: 1 } }
                   layers { relu {} }
                   layers { conv2d { filters: 64 kernel: 3 padding: 1 } }
                   layers { max_pool { size: 2 } }
                   layers { flatten {} }
                   layers { dense { units: 128 } }
                   layers { relu {} }
                   layers { dense {} }
                   loss: LOSS_SOFTMAX_CROSS_ENTROPY
                 )pb",
                 32);
}

TEST_CASE("the number of OpenMP threads changes nothing, and is left alone") {
  const Job job = LargerJob();
  Samples samples(job, 32);
  const Floats params = MakeParams(job);
  const int threads_before = omp_get_max_threads();
  TrainResult expected;
  EvaluationScore expected_score;
  for (int threads : {1, 2, 3, 8}) {
    CAPTURE(threads);
    omp_set_num_threads(threads);
    const auto network = MakeNetwork(job);
    const TrainResult result = Train(*network, params, samples.batch());
    const auto score = network->Evaluate(params, samples.batch(), NoHooks());
    REQUIRE_OK(score);
    REQUIRE(omp_get_max_threads() == threads);
    if (threads == 1) {
      expected = result;
      expected_score = *score;
    }
    REQUIRE(result == expected);
    REQUIRE(score->loss_sum == expected_score.loss_sum);
  }
  omp_set_num_threads(threads_before);
}

TEST_CASE("a network may be made on one thread and used on another") {
  const Job job = LargerJob();
  Samples samples(job, 32);
  const Floats params = MakeParams(job);
  const auto network = MakeNetwork(job);
  const TrainResult expected = Train(*network, params, samples.batch());
  Floats gradient(params.size());
  absl::StatusOr<double> loss;
  std::thread([&] {
    loss = network->Train(params, samples.batch(), 0, 0,
                          absl::MakeSpan(gradient), NoHooks());
  }).join();
  REQUIRE_OK(loss);
  REQUIRE(*loss == expected.loss);
  REQUIRE(gradient == expected.gradient);
}

TEST_CASE("microbatches of a step make up the step's gradient") {
  // Dropout included: masks go by sample, not by microbatch.
  const Job whole = MakeJob(kMlp, 6, 1);
  const Job cut = MakeJob(kMlp, 2, 3);
  Samples samples(whole, 6);
  const Floats params = MakeParams(whole);
  const TrainResult expected =
      Train(*MakeNetwork(whole), params, samples.batch(), 4, 0);
  const auto network = MakeNetwork(cut);
  std::vector<double> mean(params.size());
  double loss = 0;
  for (int m = 0; m < 3; ++m) {
    const TrainResult part =
        Train(*network, params, samples.From(2 * m, 2), 4, 2 * m);
    loss += part.loss / 3;
    for (size_t i = 0; i < mean.size(); ++i) mean[i] += part.gradient[i] / 3;
  }
  REQUIRE(loss == Approx(expected.loss).epsilon(1e-6));
  for (size_t i = 0; i < mean.size(); ++i) {
    REQUIRE(mean[i] == Approx(expected.gradient[i]).margin(1e-6));
  }
}

TEST_CASE("dropout differs from step to step") {
  const Job job = MakeJob(kMlp, 4);
  Samples samples(job, 4);
  const Floats params = MakeParams(job);
  const auto network = MakeNetwork(job);
  REQUIRE(Train(*network, params, samples.batch(), 0).loss !=
          Train(*network, params, samples.batch(), 1).loss);
}

TEST_CASE("evaluation agrees with the plain network, without dropout") {
  const Job job = MakeJob(GENERATE(kMlp, kCnn, kOddCnn), 2);
  const int count = GENERATE(1, 31, 32, 33, 100);
  Samples samples(job, count);
  const Floats params = MakeParams(job);
  const auto score =
      MakeNetwork(job)->Evaluate(params, samples.batch(), NoHooks());
  REQUIRE_OK(score);
  const std::vector<double> exact(params.begin(), params.end());
  REQUIRE(score->loss_sum ==
          Approx(count * ReferenceLoss(job, exact, samples, {.samples = count}))
              .epsilon(1e-6)
              .margin(1e-6 * count));
  const auto outputs = ReferenceForward(
      job.model(), exact, {samples.inputs.begin(), samples.inputs.end()},
      {.samples = count});
  int correct = 0;
  for (int i = 0; i < count; ++i) {
    const auto x = outputs.begin() + i * 3;
    correct += std::max_element(x, x + 3) - x == samples.labels[i];
  }
  REQUIRE(score->correct == correct);
}

TEST_CASE("a sample's evaluation does not depend on the others") {
  const Job job = MakeJob(GENERATE(kMlp, kCnn, kOddCnn), 2);
  Samples samples(job, 70);
  const Floats params = MakeParams(job);
  const auto network = MakeNetwork(job);
  double sum = 0;
  int64_t correct = 0;
  for (size_t i = 0; i < 70; ++i) {
    const auto score = network->Evaluate(params, samples.From(i, 1), NoHooks());
    REQUIRE_OK(score);
    sum += score->loss_sum;
    correct += score->correct;
  }
  const auto all = network->Evaluate(params, samples.batch(), NoHooks());
  REQUIRE_OK(all);
  REQUIRE(all->correct == correct);
  // Sums of 70 doubles in different order; a float output that differed in its
  // last bit would show.
  REQUIRE(std::abs(all->loss_sum - sum) < 1e-12 * sum);
}

TEST_CASE("no samples evaluate to nothing") {
  const Job job = MakeJob(kCnn, 2);
  Samples samples(job, 1);
  const auto score = MakeNetwork(job)->Evaluate(MakeParams(job),
                                                samples.From(0, 0), NoHooks());
  REQUIRE_OK(score);
  REQUIRE(score->loss_sum == 0);
}

TEST_CASE("evaluation and training do not disturb each other") {
  const Job job = MakeJob(kCnn, 4);
  Samples samples(job, 4);
  const Floats params = MakeParams(job);
  const auto network = MakeNetwork(job);
  const TrainResult expected = Train(*network, params, samples.batch());
  const Floats other = Normals(job.layout().total_elements(), 8, 1);
  REQUIRE_OK(network->Evaluate(other, samples.batch(), NoHooks()));
  REQUIRE(Train(*network, params, samples.batch()) == expected);
}

TEST_CASE("steps down the gradient lower the loss") {
  const Job job = MakeJob(GENERATE(kSoftmax, kCnn), 16);
  Samples samples(job, 16);
  Floats params = MakeParams(job);
  const auto network = MakeNetwork(job);
  const double first = Train(*network, params, samples.batch()).loss;
  for (int step = 0; step < 60; ++step) {
    const TrainResult result = Train(*network, params, samples.batch(), step);
    for (size_t i = 0; i < params.size(); ++i) {
      params[i] -= 0.05f * result.gradient[i];
    }
  }
  REQUIRE(Train(*network, params, samples.batch()).loss < first / 2);
}

}  // namespace
}  // namespace tessera
