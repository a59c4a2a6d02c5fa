// Streams, events, copies.

#include <cuda_runtime_api.h>

#include <cstring>
#include <memory>

#include "common/base/mutex.h"
#include "tests/support/fake_cuda/runtime_state.h"

namespace {

using tessera::MutexLock;
using tessera::fake_cuda::Call;
using tessera::fake_cuda::kLossError;
using tessera::fake_cuda::Queue;
using tessera::fake_cuda::Runtime;
using tessera::fake_cuda::TheRuntime;

}  // namespace

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  const cudaError_t error = runtime.Begin(Call::kCreate);
  if (error != cudaSuccess) return error;
  *stream = new CUstream_st{std::make_shared<Queue>()};
  ++runtime.live.streams;
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  runtime.RunTo({stream->queue, stream->queue->enqueued});
  delete stream;
  --runtime.live.streams;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  const cudaError_t error = runtime.Begin(Call::kWait);
  runtime.RunTo({stream->queue, stream->queue->enqueued});
  return error;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event,
                                unsigned) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  if (runtime.lost) return kLossError;
  runtime.Enqueue(stream->queue,
                  [&runtime, point = event->point] { runtime.RunTo(point); });
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes,
                            cudaMemcpyKind kind, cudaStream_t stream) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  const cudaError_t error = runtime.Begin(Call::kCopy);
  if (error != cudaSuccess) return error;
  if (kind != cudaMemcpyDefault) return runtime.Remember(cudaErrorInvalidValue);
  runtime.Enqueue(stream->queue,
                  [to, from, bytes] { std::memcpy(to, from, bytes); });
  if (runtime.IsOrdinary(to) || runtime.IsOrdinary(from)) {
    runtime.RunTo({stream->queue, stream->queue->enqueued});
  }
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes,
                            cudaStream_t stream) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  const cudaError_t error = runtime.Begin(Call::kCopy);
  if (error != cudaSuccess) return error;
  runtime.Enqueue(stream->queue,
                  [to, value, bytes] { std::memset(to, value, bytes); });
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  const cudaError_t error = runtime.Begin(Call::kCreate);
  if (error != cudaSuccess) return error;
  *event = new CUevent_st;
  ++runtime.live.events;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  delete event;
  --runtime.live.events;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  if (runtime.lost) return kLossError;
  event->point = {stream->queue, stream->queue->enqueued};
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  const cudaError_t error = runtime.Begin(Call::kWait);
  runtime.RunTo(event->point);
  return error;
}
