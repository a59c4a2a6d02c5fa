// How many samples a second a network trains on and evaluates, on one thread or
// one GPU.
//
// Prints, for each microbatch size, samples/s of Network::Train (forward and
// backward, gradient in the flat vector), then of Network::Evaluate on one
// chunk. Inputs are random: the time does not depend on their values. Every
// figure is the median over passes, with the fastest beside it.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/philox.h"
#include "common/base/status_macros.h"
#include "common/device/buffer_pool.h"
#include "common/device/make_device.h"
#include "common/job/job.h"
#include "worker/model/network.h"

ABSL_FLAG(std::string, job, "",
          "Job file whose model to run; sizes that its data would tell are "
          "taken from --height, --width, --channels and --classes. Empty: the "
          "convolutional network of deploy/jobs/fashion_cnn.textproto.");
ABSL_FLAG(int, height, 28, "Height of a sample.");
ABSL_FLAG(int, width, 28, "Width of a sample.");
ABSL_FLAG(int, channels, 1, "Channels of a sample.");
ABSL_FLAG(int, classes, 10, "Classes.");
ABSL_FLAG(std::vector<std::string>, microbatch_sizes,
          (std::vector<std::string>{"16", "32", "64"}),
          "Samples in one Train, comma-separated.");
ABSL_FLAG(std::string, device, "cpu", "What computes: auto, cpu or cuda.");
ABSL_FLAG(
    bool, tf32, false,
    "Whether products on a GPU may round their factors to TensorFloat-32.");
ABSL_FLAG(int, evaluation_samples, 500, "Samples in one Evaluate.");
ABSL_FLAG(absl::Duration, time, absl::Seconds(2),
          "How long each figure takes.");

namespace tessera {
namespace {

constexpr char kExample[] = R"pb(
  data_set { idx {} }
  model {
    layers { conv2d { filters: 32 kernel: 3 padding: 1 } }
    layers { relu {} }
    layers { max_pool { size: 2 } }
    layers { conv2d { filters: 64 kernel: 3 padding: 1 } }
    layers { relu {} }
    layers { max_pool { size: 2 } }
    layers { flatten {} }
    layers { dense { units: 128 } }
    layers { relu {} }
    layers { dense {} }
    loss: LOSS_SOFTMAX_CROSS_ENTROPY
  }
  optimizer { sgd {} }
  learning_rate { base: 0.1 }
  seed: 1
  stop { epochs: 1 }
)pb";

absl::StatusOr<Job> MakeJob(int microbatch_size) {
  const std::string path = absl::GetFlag(FLAGS_job);
  TESSERA_ASSIGN_OR_RETURN(
      v1::Job proto, path.empty() ? ParseJobText(kExample) : LoadJobFile(path));
  proto.set_batch_size(microbatch_size);
  proto.set_microbatches(1);
  if (!proto.data_set().has_generated_linear()) {
    DataSetFacts facts{.sample_shape = {},
                       .classes = absl::GetFlag(FLAGS_classes),
                       .train_examples = microbatch_size,
                       .test_examples = 1};
    facts.sample_shape.set_height(absl::GetFlag(FLAGS_height));
    facts.sample_shape.set_width(absl::GetFlag(FLAGS_width));
    facts.sample_shape.set_channels(absl::GetFlag(FLAGS_channels));
    TESSERA_RETURN_IF_ERROR(ResolveDataSet(facts, proto));
  } else {
    TESSERA_ASSIGN_OR_RETURN(const DataSetFacts facts,
                             FactsOfGeneratedData(proto));
    TESSERA_RETURN_IF_ERROR(ResolveDataSet(facts, proto));
  }
  return Job::Create(std::move(proto));
}

std::vector<float> Normals(int64_t count, float scale) {
  const Philox random(1, RandomStream::kGeneratedData);
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = scale * random.Normal(i);
  }
  return values;
}

// A batch of `samples` with memory of its own.
class Samples {
 public:
  Samples(const Job& job, int64_t samples)
      : inputs_(Normals(samples * job.model().layers[0].input.size(), 1)),
        labels_(static_cast<size_t>(samples)),
        targets_(Normals(samples * job.model().outputs, 1)) {}

  Batch batch() {
    return {.inputs = absl::MakeSpan(inputs_),
            .labels = absl::MakeSpan(labels_),
            .targets = absl::MakeSpan(targets_)};
  }

 private:
  std::vector<float> inputs_;
  std::vector<int32_t> labels_;
  std::vector<float> targets_;
};

// Runs `pass` for --time and prints a line.
template <typename Pass>
absl::Status Measure(const char* what, int samples, Pass pass) {
  TESSERA_RETURN_IF_ERROR(pass());  // Warms caches up.
  std::vector<double> seconds;
  const absl::Time end = absl::Now() + absl::GetFlag(FLAGS_time);
  do {
    const absl::Time start = absl::Now();
    TESSERA_RETURN_IF_ERROR(pass());
    seconds.push_back(absl::ToDoubleSeconds(absl::Now() - start));
  } while (absl::Now() < end);
  std::sort(seconds.begin(), seconds.end());
  std::printf(
      "%-8s %5d samples  %8.0f samples/s  (fastest %8.0f, %zu passes)\n", what,
      samples, samples / seconds[seconds.size() / 2], samples / seconds.front(),
      seconds.size());
  return absl::OkStatus();
}

PassHooks NoHooks() {
  return {.need = [](int64_t, int64_t) { return absl::OkStatus(); },
          .final_from = [](int64_t) { return absl::OkStatus(); }};
}

NetworkOptions OptionsFor(Device& device) {
  return {.device = &device, .tf32 = absl::GetFlag(FLAGS_tf32)};
}

absl::Status MeasureTrain(Device& device, int microbatch_size) {
  TESSERA_ASSIGN_OR_RETURN(const Job job, MakeJob(microbatch_size));
  TESSERA_ASSIGN_OR_RETURN(
      std::unique_ptr<Network> network,
      Network::Create(job, microbatch_size, OptionsFor(device)));
  Samples samples(job, microbatch_size);
  const std::vector<float> params =
      Normals(job.layout().total_elements(), 0.03f);
  // As a worker has it.
  BufferPool pool(device, MemoryKind::kHost);
  TESSERA_ASSIGN_OR_RETURN(const BufferRef memory,
                           pool.Get(params.size() * sizeof(float)));
  const absl::Span<float> gradient(memory.floats(), params.size());
  return Measure("train", microbatch_size, [&] {
    return network->Train(params, samples.batch(), 0, 0, gradient, NoHooks())
        .status();
  });
}

absl::Status MeasureEvaluate(Device& device, int count) {
  TESSERA_ASSIGN_OR_RETURN(const Job job, MakeJob(1));
  TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<Network> network,
                           Network::Create(job, count, OptionsFor(device)));
  Samples samples(job, count);
  const std::vector<float> params =
      Normals(job.layout().total_elements(), 0.03f);
  return Measure("evaluate", count, [&] {
    return network->Evaluate(params, samples.batch(), NoHooks()).status();
  });
}

absl::Status Run() {
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Device> device,
                           MakeDevice(absl::GetFlag(FLAGS_device)));
  std::printf("device %s\n", device->name().c_str());
  for (const std::string& text : absl::GetFlag(FLAGS_microbatch_sizes)) {
    int size = 0;
    if (!absl::SimpleAtoi(text, &size) || size < 1) {
      return absl::InvalidArgumentError("--microbatch_sizes: " + text +
                                        " is not a number of at least 1");
    }
    TESSERA_RETURN_IF_ERROR(MeasureTrain(*device, size));
  }
  const int evaluated = absl::GetFlag(FLAGS_evaluation_samples);
  if (evaluated < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--evaluation_samples: ", evaluated, " is not at least 1"));
  }
  return MeasureEvaluate(*device, evaluated);
}

}  // namespace
}  // namespace tessera

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "measures samples/s of a model's passes on one thread or one GPU");
  absl::ParseCommandLine(argc, argv);
  const absl::Status status = tessera::Run();
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
