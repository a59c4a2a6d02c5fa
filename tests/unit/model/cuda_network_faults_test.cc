// What only a network on a GPU does: how it overlaps, what it asks of cuBLAS,
// and what comes of it when something fails. Over the stand-in for CUDA.

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/philox.h"
#include "common/device/cuda/cuda_device.h"
#include "common/job/job.h"
#include "tests/support/fake_cuda/fake_cublas.h"
#include "tests/support/fake_cuda/fake_cuda.h"
#include "tests/support/status.h"
#include "worker/model/network.h"

namespace tessera {
namespace {

using fake_cuda::Call;
using Floats = std::vector<float>;

constexpr int kSamples = 3;

Job MakeJob() {
  const auto proto = ParseJobText(R"pb(
    model {
      layers { conv2d { filters: 4 kernel: 3 padding: 1 } }
      layers { relu {} }
      layers { max_pool { size: 2 } }
      layers { dropout { rate: 0.25 } }
      layers { flatten {} }
      layers { dense { units: 11 } }
      layers { relu {} }
      layers { dense {} }
      loss: LOSS_SOFTMAX_CROSS_ENTROPY
    }
    batch_size: 3
    microbatches: 1
    data_set {
      idx {}
      sample_shape { height: 6 width: 7 channels: 2 }
      classes: 3
      train_examples: 1000
      test_examples: 100
    }
    optimizer { sgd {} }
    learning_rate { base: 0.1 }
    seed: 9
    stop { steps: 1000 }
  )pb");
  REQUIRE_OK(proto);
  auto job = Job::Create(*proto);
  REQUIRE_OK(job);
  return *std::move(job);
}

Floats Normals(int64_t count, uint32_t substream) {
  const Philox random(31, RandomStream::kGeneratedData, substream);
  Floats values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = random.Normal(i);
  return values;
}

// A job, its parameters and a batch, and a device with no orders to fail.
struct Fixture {
  const Job job = MakeJob();
  const Floats params = Normals(job.layout().total_elements(), 1);
  Floats inputs = Normals(kSamples * 2 * 6 * 7, 2);
  std::vector<int32_t> labels = {0, 1, 2};
  std::unique_ptr<Device> device;

  Fixture() {
    Heal();
    auto made = MakeCudaDevice();
    REQUIRE_OK(made);
    device = *std::move(made);
  }
  ~Fixture() { Heal(); }

  static void Heal() {
    fake_cuda::Reset();
    fake_cublas::Reset();
  }

  Batch batch() {
    return {.inputs = absl::MakeSpan(inputs), .labels = absl::MakeSpan(labels)};
  }

  absl::StatusOr<std::unique_ptr<Network>> Create() {
    return Network::Create(job, 40, {.device = device.get()});
  }

  absl::StatusOr<double> Train(
      Network& network, absl::Span<float> gradient,
      const std::function<absl::Status(int64_t)>& final_from) {
    return network.Train(
        params, batch(), 2, 0, gradient,
        {.need = [](int64_t, int64_t) { return absl::OkStatus(); },
         .final_from = final_from});
  }
  absl::StatusOr<double> Train(Network& network, Floats& gradient) {
    gradient.assign(params.size(), std::nanf(""));
    return Train(network, absl::MakeSpan(gradient),
                 [](int64_t) { return absl::OkStatus(); });
  }
};

TEST_CASE("a GPU's results are near the CPU's") {
  Fixture f;
  const auto gpu = f.Create();
  REQUIRE_OK(gpu);
  const auto cpu = Network::Create(f.job, 40);
  REQUIRE_OK(cpu);
  Floats on_gpu, on_cpu;
  const auto gpu_loss = f.Train(**gpu, on_gpu);
  const auto cpu_loss = f.Train(**cpu, on_cpu);
  REQUIRE_OK(gpu_loss);
  REQUIRE_OK(cpu_loss);
  REQUIRE(*gpu_loss == Approx(*cpu_loss).epsilon(1e-5));
  for (size_t i = 0; i < on_cpu.size(); ++i) {
    CAPTURE(i);
    REQUIRE(on_gpu[i] == Approx(on_cpu[i]).epsilon(1e-4).margin(1e-5));
  }
}

// Memory for a gradient, all NaN.
absl::Span<float> Blank(void* data, size_t elements) {
  const absl::Span<float> gradient(static_cast<float*>(data), elements);
  std::fill(gradient.begin(), gradient.end(), std::nanf(""));
  return gradient;
}

TEST_CASE("gradients leave before the pass is over, to memory of any kind") {
  const bool is_pinned = GENERATE(true, false);
  CAPTURE(is_pinned);
  Fixture f;
  const auto network = f.Create();
  REQUIRE_OK(network);
  Floats expected;
  REQUIRE_OK(f.Train(**network, expected));
  const size_t elements = f.params.size();
  const auto pinned =
      f.device->Allocate(MemoryKind::kHost, elements * sizeof(float));
  REQUIRE_OK(pinned);
  Floats ordinary(elements);
  const absl::Span<float> gradient =
      Blank(is_pinned ? pinned->data() : ordinary.data(), elements);
  int calls = 0;
  REQUIRE_OK(f.Train(**network, gradient, [&](int64_t begin) {
    ++calls;
    for (size_t i = static_cast<size_t>(begin); i < elements; ++i) {
      REQUIRE(gradient[i] == expected[i]);
    }
    // The GPU has not come to the first layer's when the last one's is here.
    REQUIRE(std::isnan(gradient[0]) == (begin > 0));
    return absl::OkStatus();
  }));
  REQUIRE(calls == 3);
}

TEST_CASE("products are exact unless told otherwise") {
  Fixture f;
  REQUIRE_OK(f.Create());
  REQUIRE(fake_cublas::MathMode() == CUBLAS_DEFAULT_MATH);
  REQUIRE_OK(
      Network::Create(f.job, 40, {.device = f.device.get(), .tf32 = true}));
  REQUIRE(fake_cublas::MathMode() == CUBLAS_TF32_TENSOR_OP_MATH);
}

TEST_CASE("a network leaves nothing behind") {
  Fixture f;
  {
    const auto network = f.Create();
    REQUIRE_OK(network);
    Floats gradient;
    REQUIRE_OK(f.Train(**network, gradient));
  }
  REQUIRE(fake_cuda::LiveObjects() == fake_cuda::Live{});
  REQUIRE(fake_cublas::LiveHandles() == 0);
}

// Each call that making a network needs fails once; -1 for all kinds of calls
// means that there was no such call any more.
template <typename Fail>
int CountFailures(Fixture& f, absl::StatusCode code, Fail fail) {
  for (int nth = 1;; ++nth) {
    CAPTURE(nth);
    fail(nth);
    const auto network = f.Create();
    f.Heal();
    if (network.ok()) return nth - 1;
    REQUIRE_ERROR(network, code);
    REQUIRE(fake_cuda::LiveObjects() == fake_cuda::Live{});
    REQUIRE(fake_cublas::LiveHandles() == 0);
  }
}

TEST_CASE("a network that cannot be made says why, and leaves nothing behind") {
  Fixture f;
  const auto fail = [](Call call, cudaError_t error) {
    return [=](int nth) { fake_cuda::FailCall(call, nth, error); };
  };
  REQUIRE(CountFailures(f, absl::StatusCode::kResourceExhausted,
                        fail(Call::kAllocate, cudaErrorMemoryAllocation)) > 20);
  REQUIRE(CountFailures(f, absl::StatusCode::kResourceExhausted,
                        fail(Call::kAllocateHost, cudaErrorMemoryAllocation)) >=
          6);
  REQUIRE(CountFailures(f, absl::StatusCode::kInternal,
                        fail(Call::kCreate, cudaErrorUnknown)) > 6);
  REQUIRE(CountFailures(f, absl::StatusCode::kInternal,
                        fail(Call::kLaunch, cudaErrorUnknown)) >= 1);
  REQUIRE(CountFailures(f, absl::StatusCode::kResourceExhausted, [](int nth) {
            fake_cublas::FailCall(nth, CUBLAS_STATUS_ALLOC_FAILED);
          }) == 8);
}

TEST_CASE("memory that cannot be had is said with the layer and the size") {
  Fixture f;
  fake_cuda::SetDeviceMemory((32 << 20) + 3000);
  REQUIRE_ERROR(f.Create(), absl::StatusCode::kResourceExhausted, "layer ",
                "bytes");
}

// Each call of a pass fails once: no gradient that is handed on may be wrong,
// and the next pass is as good as ever.
template <typename Fail>
int CountFailedPasses(Fixture& f, absl::StatusCode code, Fail fail) {
  const auto network = f.Create();
  REQUIRE_OK(network);
  Floats expected;
  REQUIRE_OK(f.Train(**network, expected));
  for (int nth = 1;; ++nth) {
    CAPTURE(nth);
    fail(nth);
    Floats gradient(f.params.size(), std::nanf(""));
    const auto loss =
        f.Train(**network, absl::MakeSpan(gradient), [&](int64_t begin) {
          REQUIRE(std::equal(gradient.begin() + begin, gradient.end(),
                             expected.begin() + begin));
          return absl::OkStatus();
        });
    f.Heal();
    if (loss.ok()) return nth - 1;
    REQUIRE_ERROR(loss, code);
    Floats again;
    REQUIRE_OK(f.Train(**network, again));
    REQUIRE(again == expected);
  }
}

TEST_CASE("a call that fails ends the pass, and hands on nothing wrong") {
  Fixture f;
  const auto fail = [](Call call) {
    return [=](int nth) { fake_cuda::FailCall(call, nth, cudaErrorUnknown); };
  };
  REQUIRE(CountFailedPasses(f, absl::StatusCode::kInternal,
                            fail(Call::kLaunch)) > 15);
  REQUIRE(CountFailedPasses(f, absl::StatusCode::kInternal,
                            fail(Call::kCopy)) >= 8);
  REQUIRE(CountFailedPasses(f, absl::StatusCode::kInternal,
                            fail(Call::kWait)) == 6);
}

TEST_CASE("a product that fails says that it was cuBLAS") {
  Fixture f;
  REQUIRE(CountFailedPasses(f, absl::StatusCode::kInternal, [](int nth) {
            fake_cublas::FailCall(nth, CUBLAS_STATUS_EXECUTION_FAILED);
          }) == 11);
  const auto network = f.Create();
  REQUIRE_OK(network);
  Floats gradient;
  fake_cublas::FailCall(2, CUBLAS_STATUS_EXECUTION_FAILED);
  REQUIRE_ERROR(f.Train(**network, gradient), absl::StatusCode::kInternal,
                "cuBLAS", "CUBLAS_STATUS_EXECUTION_FAILED (13)");
  fake_cublas::FailCall(1, CUBLAS_STATUS_ALLOC_FAILED);
  REQUIRE_ERROR(f.Train(**network, gradient),
                absl::StatusCode::kResourceExhausted, "cuBLAS");
}

TEST_CASE("a device that is lost at any call is UNAVAILABLE from then on") {
  for (int calls = 0;; ++calls) {
    CAPTURE(calls);
    Fixture f;
    const auto network = f.Create();
    REQUIRE_OK(network);
    Floats expected;
    REQUIRE_OK(f.Train(**network, expected));
    fake_cuda::LoseAfter(calls);
    Floats gradient(f.params.size(), std::nanf(""));
    const auto loss =
        f.Train(**network, absl::MakeSpan(gradient), [&](int64_t begin) {
          REQUIRE(std::equal(gradient.begin() + begin, gradient.end(),
                             expected.begin() + begin));
          return absl::OkStatus();
        });
    if (loss.ok()) {
      REQUIRE(calls >= 40);
      return;
    }
    REQUIRE_ERROR(loss, absl::StatusCode::kUnavailable, "lost");
    REQUIRE_ERROR(f.Train(**network, gradient), absl::StatusCode::kUnavailable,
                  "lost");
    REQUIRE_ERROR(
        (*network)->Evaluate(
            f.params, f.batch(),
            {.need = [](int64_t, int64_t) { return absl::OkStatus(); }}),
        absl::StatusCode::kUnavailable, "lost");
    REQUIRE_ERROR(f.Create(), absl::StatusCode::kUnavailable, "lost");
  }
}

}  // namespace
}  // namespace tessera
