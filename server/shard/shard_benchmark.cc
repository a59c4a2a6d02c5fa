// How fast one core takes in gradients: ShardStore::Push, against the plainest
// loop that could do a part of its work.
//
// The ceiling is `acc[i] += x[i]` over vectors far larger than any cache, the
// vectors read in turn: it neither checks a value, nor keeps partial sums
// apart, nor applies an optimizer. Figures are in gigabytes of pushed values a
// second of this thread's processor time; "of ceiling" divides by the ceiling,
// with values in the same encoding, measured just before in the same
// repetition. Each line gives medians over repetitions, with the least and the
// largest share.
//
//   add    pushes that do not complete a step: check, and fold into sums
//   step   all pushes: the last one applies the optimizer too
//   order  "workers": worker after worker, each pushing every block, so that
//          sums have left the caches; "blocks": all workers' pushes of a block
//          one after another

#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
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
#include "absl/strings/substitute.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/base/vectorize.h"
#include "common/device/make_device.h"
#include "common/job/job.h"
#include "common/plan/shard_plan.h"
#include "common/tensor/bfloat16.h"
#include "common/wire/encoding.h"
#include "server/shard/counted_ranges.h"
#include "server/shard/shard_store.h"

ABSL_FLAG(int, mib, 64, "MiB of float32 parameters.");
ABSL_FLAG(int, block_kib, 1024, "KiB of float32 parameters in a block.");
ABSL_FLAG(std::vector<std::string>, workers,
          (std::vector<std::string>{"2", "8"}),
          "Workers, comma-separated: pushes of each block a step.");
ABSL_FLAG(int, repetitions, 11, "Of every measurement, interleaved.");

namespace tessera {
namespace {

// Gradient vectors that take turns, so that none is found in a cache.
constexpr int kVectors = 4;

constexpr char kJob[] = R"pb(
  data_set {
    generated_linear {
      features: 1023
      outputs: $0
      train_examples: 65536
      test_examples: 1
    }
  }
  model {
    layers { dense {} }
    loss: LOSS_MEAN_SQUARED_ERROR
  }
  batch_size: $1
  microbatches: $1
  block_bytes: $2
  learning_rate { base: 0.001 }
  stop { epochs: 1 }
  optimizer { $3 }
  wire { push: $4 pull: $5 }
)pb";

struct Case {
  const char* optimizer;
  v1::Encoding push = v1::ENCODING_FLOAT32;
  v1::Encoding pull = v1::ENCODING_FLOAT32;
  bool blocks_first = false;
  int workers = 1;
};

absl::StatusOr<Job> MakeJob(const Case& c) {
  TESSERA_ASSIGN_OR_RETURN(
      v1::Job proto,
      ParseJobText(absl::Substitute(
          kJob, absl::GetFlag(FLAGS_mib) * 256, c.workers,
          int64_t{absl::GetFlag(FLAGS_block_kib)} << 10, c.optimizer,
          v1::Encoding_Name(c.push), v1::Encoding_Name(c.pull))));
  TESSERA_ASSIGN_OR_RETURN(const DataSetFacts facts,
                           FactsOfGeneratedData(proto));
  TESSERA_RETURN_IF_ERROR(ResolveDataSet(facts, proto));
  return Job::Create(std::move(proto));
}

// Memory of the kind that the store has.
Memory Allocate(Device& device, size_t bytes) {
  absl::StatusOr<Memory> memory = device.Allocate(MemoryKind::kHost, bytes);
  TESSERA_CHECK(memory.ok());
  return *std::move(memory);
}

// Every worker's gradients, in both encodings.
class Gradients {
 public:
  Gradients(Device& device, size_t count) : count_(count) {
    for (int k = 0; k < kVectors; ++k) {
      exact_.push_back(Allocate(device, count * sizeof(float)));
      auto* const values = static_cast<float*>(exact_.back().data());
      for (size_t i = 0; i < count; ++i) {
        values[i] = static_cast<float>(i % 1000 + 1) * 1e-6f;
      }
      rounded_.push_back(Allocate(device, count * kBfloat16Bytes));
      RoundToBfloat16({values, count},
                      static_cast<uint8_t*>(rounded_.back().data()));
    }
  }

  // Of a worker; `length` values from `first` on.
  FragmentedBytes Payload(v1::Encoding encoding, int worker, size_t first,
                          size_t length) const {
    const size_t size = BytesPerValue(encoding);
    return FragmentedBytes(
        {Data(encoding, worker) + first * size, length * size});
  }
  const uint8_t* Data(v1::Encoding encoding, int worker) const {
    const auto k = static_cast<size_t>(worker % kVectors);
    return static_cast<const uint8_t*>(encoding == v1::ENCODING_FLOAT32
                                           ? exact_[k].data()
                                           : rounded_[k].data());
  }
  size_t count() const { return count_; }

 private:
  const size_t count_;
  std::vector<Memory> exact_;
  std::vector<Memory> rounded_;
};

TESSERA_VECTOR_CLONES
void AddFloats(const float* x, float* acc, size_t count) {
  for (size_t i = 0; i < count; ++i) acc[i] += x[i];
}

TESSERA_VECTOR_CLONES
void AddBfloats(const uint16_t* x, float* acc, size_t count) {
  for (size_t i = 0; i < count; ++i) acc[i] += FromBfloat16(x[i]);
}

// Of this thread's processor time: what others do to the clock meanwhile does
// not count.
double Seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) +
         1e-9 * static_cast<double>(now.tv_nsec);
}

// Seconds of the ceiling, a vector.
double Ceiling(const Gradients& gradients, v1::Encoding encoding, float* acc) {
  const double start = Seconds();
  for (int worker = 0; worker < kVectors; ++worker) {
    const uint8_t* x = gradients.Data(encoding, worker);
    if (encoding == v1::ENCODING_FLOAT32) {
      AddFloats(reinterpret_cast<const float*>(x), acc, gradients.count());
    } else {
      AddBfloats(reinterpret_cast<const uint16_t*>(x), acc, gradients.count());
    }
  }
  return (Seconds() - start) / kVectors;
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// One case's store, kept over repetitions.
class Bench {
 public:
  static absl::StatusOr<std::unique_ptr<Bench>> Create(const Case& c,
                                                       Device& device) {
    TESSERA_ASSIGN_OR_RETURN(Job job, MakeJob(c));
    TESSERA_ASSIGN_OR_RETURN(
        ShardPlan plan,
        ShardPlan::Create(job.layout().total_elements(), 1, job.block_bytes()));
    auto bench = std::make_unique<Bench>(c, std::move(job), plan);
    TESSERA_ASSIGN_OR_RETURN(
        bench->store_,
        ShardStore::Create(bench->job_, bench->plan_, 0, device));
    return bench;
  }

  Bench(const Case& c, Job job, const ShardPlan& plan)
      : case_(c), job_(std::move(job)), plan_(plan) {}

  // One step; seconds in pushes that did not complete a block, and that did.
  struct Times {
    double added = 0;
    double completed = 0;
  };
  Times Step(const Gradients& gradients) {
    Times times;
    const int blocks = plan_.block_count();
    const int pushes = blocks * case_.workers;
    for (int i = 0; i < pushes; ++i) {
      const int block = case_.blocks_first ? i / case_.workers : i % blocks;
      const int worker = case_.blocks_first ? i % case_.workers : i / blocks;
      const double start = Seconds();
      Push(gradients, block, worker);
      (worker + 1 < case_.workers ? times.added : times.completed) +=
          Seconds() - start;
    }
    ++step_;
    return times;
  }

  void Record(const Times& times, double ceiling) {
    const int w = case_.workers;
    add_.push_back((w - 1) * ceiling / times.added);
    step_share_.push_back(w * ceiling / (times.added + times.completed));
    ceiling_.push_back(ceiling);
  }

  void Print(size_t values) const {
    const double gigabytes =
        static_cast<double>(values * BytesPerValue(case_.push)) / 1e9;
    const auto share = [&](const std::vector<double>& of) {
      const auto [least, most] = std::minmax_element(of.begin(), of.end());
      std::printf("  %6.1f  %.2f (%.2f-%.2f)",
                  Median(of) * gigabytes / Median(ceiling_), Median(of), *least,
                  *most);
    };
    std::printf("%-22s %-4s %-4s  %-7s %3d", case_.optimizer,
                case_.push == v1::ENCODING_FLOAT32 ? "f32" : "bf16",
                case_.pull == v1::ENCODING_FLOAT32 ? "f32" : "bf16",
                case_.blocks_first ? "blocks" : "workers", case_.workers);
    share(add_);
    share(step_share_);
    std::printf("\n");
    std::fflush(stdout);
  }

  const Case& config() const { return case_; }

 private:
  void Push(const Gradients& gradients, int block, int worker) {
    const Interval elements = plan_.BlockElements(block);
    const auto pushed =
        store_->Push({.block = block,
                      .step = step_,
                      .range = {worker, worker + 1},
                      .worker = WorkerId(static_cast<uint64_t>(worker) + 1)},
                     gradients.Payload(case_.push, worker,
                                       static_cast<size_t>(elements.begin),
                                       static_cast<size_t>(elements.size())));
    TESSERA_CHECK(pushed.ok());
  }

  const Case case_;
  const Job job_;
  const ShardPlan plan_;
  std::unique_ptr<ShardStore> store_;
  int64_t step_ = 0;
  // Per repetition: shares of the ceiling, and its seconds.
  std::vector<double> add_;
  std::vector<double> step_share_;
  std::vector<double> ceiling_;
};

absl::StatusOr<std::vector<Case>> Cases() {
  constexpr auto kF32 = v1::ENCODING_FLOAT32;
  constexpr auto kBf16 = v1::ENCODING_BFLOAT16;
  std::vector<Case> cases;
  for (const std::string& text : absl::GetFlag(FLAGS_workers)) {
    int workers = 0;
    if (!absl::SimpleAtoi(text, &workers) || workers < 2) {
      return absl::InvalidArgumentError("--workers: " + text +
                                        " is not a number of at least 2");
    }
    for (bool blocks_first : {false, true}) {
      cases.push_back({"sgd {}", kF32, kF32, blocks_first, workers});
    }
    cases.push_back({"sgd { momentum: 0.9 }", kF32, kF32, false, workers});
    cases.push_back({"adamw {}", kF32, kF32, false, workers});
    cases.push_back({"sgd {}", kBf16, kF32, false, workers});
    cases.push_back({"sgd {}", kBf16, kBf16, false, workers});
  }
  return cases;
}

// Prints how long rounding and expanding take against memcpy, with as many
// values; `acc` is overwritten. (They move three quarters of its bytes.)
void MeasureRounding(const Gradients& gradients, float* acc) {
  const size_t count = gradients.count();
  const auto* const exact = reinterpret_cast<const float*>(
      gradients.Data(v1::ENCODING_FLOAT32, /*worker=*/0));
  const FragmentedBytes rounded =
      gradients.Payload(v1::ENCODING_BFLOAT16, /*worker=*/1, 0, count);
  std::vector<double> round, expand;
  for (int i = 0; i < absl::GetFlag(FLAGS_repetitions); ++i) {
    const double start = Seconds();
    std::memcpy(acc, exact, count * sizeof(float));
    const double copied = Seconds();
    RoundToBfloat16({exact, count}, reinterpret_cast<uint8_t*>(acc));
    const double rounded_at = Seconds();
    ExpandBfloat16(rounded, acc);
    const double copy = copied - start;
    round.push_back(copy / (rounded_at - copied));
    expand.push_back(copy / (Seconds() - rounded_at));
  }
  std::printf(
      "values a second, of memcpy's: to bfloat16 %.2f, to float32 %.2f\n",
      Median(round), Median(expand));
}

// Prints what it costs a push to make its payload's digest: of a block that is
// not in a cache, and of one that the push reads next or has read just before.
void MeasureDigest(const Gradients& gradients, float* acc) {
  const size_t block = size_t{1} << 18;
  std::vector<double> cold, warm;
  uint32_t digests = 0;
  for (int i = 0; i < absl::GetFlag(FLAGS_repetitions); ++i) {
    const double ceiling = Ceiling(gradients, v1::ENCODING_FLOAT32, acc);
    double seconds[2] = {};
    for (size_t at = 0; at + block <= gradients.count(); at += block) {
      const FragmentedBytes payload =
          gradients.Payload(v1::ENCODING_FLOAT32, i, at, block);
      for (double& time : seconds) {
        const double start = Seconds();
        digests += DigestOf(payload);
        time += Seconds() - start;
      }
    }
    cold.push_back(seconds[0] / ceiling);
    warm.push_back(seconds[1] / ceiling);
  }
  std::printf(
      "a payload's digest takes, of the ceiling's time: %.2f from memory, %.2f "
      "from a cache (%08x)\n",
      Median(cold), Median(warm), digests);
}

absl::Status Run() {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<Case> cases, Cases());
  TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<Device> device, MakeDevice("cpu"));
  const Gradients gradients(
      *device, static_cast<size_t>(absl::GetFlag(FLAGS_mib)) << 18);
  const Memory memory = Allocate(*device, gradients.count() * sizeof(float));
  auto* const acc = static_cast<float*>(memory.data());
  std::fill_n(acc, gradients.count(), 0.0f);
  MeasureRounding(gradients, acc);
  MeasureDigest(gradients, acc);
  std::printf("%-22s %-4s %-4s  %-7s %3s  %6s  %-16s  %6s  %s\n", "optimizer",
              "push", "pull", "order", "W", "add", "of ceiling", "step",
              "of ceiling");
  // One store at a time, as its memory would push the others' out.
  for (const Case& c : cases) {
    TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<Bench> bench,
                             Bench::Create(c, *device));
    for (int warm_up = 0; warm_up < 2; ++warm_up) bench->Step(gradients);
    for (int i = 0; i < absl::GetFlag(FLAGS_repetitions); ++i) {
      const double ceiling = Ceiling(gradients, c.push, acc);
      bench->Record(bench->Step(gradients), ceiling);
    }
    bench->Print(gradients.count());
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace tessera

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "measures ShardStore::Push against a plain acc += x on one thread");
  absl::ParseCommandLine(argc, argv);
  const absl::Status status = tessera::Run();
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
