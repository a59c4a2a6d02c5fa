#include "tests/support/fake_cuda/fake_cuda.h"

#include <utility>

#include "common/base/mutex.h"
#include "tests/support/fake_cuda/runtime_state.h"

namespace tessera::fake_cuda {

Runtime& TheRuntime() {
  static Runtime* const runtime = new Runtime;
  return *runtime;
}

void Reset() {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  runtime.count_error = cudaSuccess;
  runtime.device_count = 1;
  runtime.device_bytes = kPlentyBytes;
  runtime.orders = {};
  runtime.counts = {};
  runtime.calls_until_loss = -1;
  runtime.lost = false;
  runtime.last_error = cudaSuccess;
}

void SetDeviceCount(cudaError_t error, int count) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  runtime.count_error = error;
  runtime.device_count = count;
}

void SetDeviceMemory(size_t bytes) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  runtime.device_bytes = bytes;
}

void FailCall(Call call, int nth, cudaError_t error) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  runtime.orders[static_cast<size_t>(call)] = {nth, error};
}

void LoseAfter(int calls) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  runtime.calls_until_loss = calls;
}

int CallCount(Call call) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  return runtime.counts[static_cast<size_t>(call)];
}

int CallCount() {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  int sum = 0;
  for (int count : runtime.counts) sum += count;
  return sum;
}

Live LiveObjects() {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  return runtime.live;
}

cudaError_t EnqueueKernel(cudaStream_t stream, std::function<void()> run) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  const cudaError_t error = runtime.Begin(Call::kLaunch);
  if (error == cudaSuccess) runtime.Enqueue(stream->queue, std::move(run));
  return error;
}

}  // namespace tessera::fake_cuda
