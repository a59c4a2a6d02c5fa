#include "tests/support/fake_cuda/fake_cuda.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <utility>

#include "common/base/check.h"
#include "common/base/mutex.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(data, bytes) ((void)(data), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(data, bytes) ((void)(data), (void)(bytes))
#endif

namespace tessera::fake_cuda {
namespace {

constexpr size_t kPageBytes = 4096;
constexpr size_t kPlentyBytes = size_t{1} << 30;
constexpr cudaError_t kLossError = cudaErrorIllegalAddress;

// A stream's work. Events refer to it after the stream itself has gone.
struct Queue {
  std::deque<std::function<void()>> work;
  uint64_t enqueued = 0;
  uint64_t done = 0;
};

// A point in a queue.
struct Point {
  std::shared_ptr<Queue> queue;
  uint64_t position = 0;
};

struct Order {
  int calls_left = 0;  // None, at 0.
  cudaError_t error = cudaSuccess;
};

// Pieces of memory by address.
using Pieces = std::map<uintptr_t, size_t>;

// The piece that holds the address, if any.
const Pieces::value_type* FindPiece(const Pieces& pieces, const void* at) {
  const auto address = reinterpret_cast<uintptr_t>(at);
  auto after = pieces.upper_bound(address);
  if (after == pieces.begin()) return nullptr;
  const auto& piece = *std::prev(after);
  return address < piece.first + piece.second ? &piece : nullptr;
}

class Runtime;
Runtime& TheRuntime();

class Runtime {
 public:
  // Under the lock, for all that follows.
  Mutex mutex;

  // Counts a call and gives the error that it was told to have, if any.
  cudaError_t Begin(Call call) {
    if (lost) return Remember(kLossError);
    ++counts[static_cast<size_t>(call)];
    if (calls_until_loss >= 0 && calls_until_loss-- == 0) {
      lost = true;
      return Remember(kLossError);
    }
    Order& order = orders[static_cast<size_t>(call)];
    if (order.calls_left > 0 && --order.calls_left == 0) {
      return Remember(order.error);
    }
    return cudaSuccess;
  }

  cudaError_t Remember(cudaError_t error) {
    if (error != cudaSuccess) last_error = error;
    return error;
  }

  void Enqueue(const std::shared_ptr<Queue>& queue,
               std::function<void()> work) {
    queue->work.push_back(std::move(work));
    ++queue->enqueued;
  }

  // Does what comes before the point.
  void RunTo(const Point& point) {
    if (point.queue == nullptr) return;
    OpenDeviceMemory();
    Queue& queue = *point.queue;
    while (queue.done < point.position) {
      const std::function<void()> work = std::move(queue.work.front());
      queue.work.pop_front();
      ++queue.done;
      if (!lost) work();
    }
    CloseDeviceMemory();
  }

  void OpenDeviceMemory() {
    if (opened++ > 0) return;
    for (const auto& [address, bytes] : device_memory) {
      ASAN_UNPOISON_MEMORY_REGION(reinterpret_cast<void*>(address), bytes);
    }
  }
  void CloseDeviceMemory() {
    if (--opened > 0) return;
    for (const auto& [address, bytes] : device_memory) {
      ASAN_POISON_MEMORY_REGION(reinterpret_cast<void*>(address), bytes);
    }
  }

  bool IsOrdinary(const void* at) const {
    return FindPiece(device_memory, at) == nullptr &&
           FindPiece(host_memory, at) == nullptr &&
           FindPiece(pins, at) == nullptr;
  }

  size_t DeviceBytesInUse() const {
    size_t bytes = 0;
    for (const auto& [address, piece] : device_memory) bytes += piece;
    return bytes;
  }

  cudaError_t count_error = cudaSuccess;
  int device_count = 1;
  size_t device_bytes = kPlentyBytes;
  std::array<Order, kCallKinds> orders;
  std::array<int, kCallKinds> counts = {};
  int calls_until_loss = -1;  // Never.
  bool lost = false;
  cudaError_t last_error = cudaSuccess;
  Live live;
  Pieces device_memory;
  Pieces host_memory;
  Pieces pins;
  int opened = 0;
};

Runtime& TheRuntime() {
  static Runtime* const runtime = new Runtime;
  return *runtime;
}

// Memory of a piece of its own, full of garbage.
cudaError_t Allocate(Runtime& runtime, Pieces& pieces, size_t alignment,
                     void** data, size_t bytes) {
  void* const made = std::aligned_alloc(
      alignment, (bytes + alignment - 1) / alignment * alignment);
  if (made == nullptr) return runtime.Remember(cudaErrorMemoryAllocation);
  std::memset(made, 0xcd, bytes);
  pieces[reinterpret_cast<uintptr_t>(made)] = bytes;
  *data = made;
  return cudaSuccess;
}

cudaError_t Free(Runtime& runtime, Pieces& pieces, int& live, void* data) {
  if (data == nullptr) return cudaSuccess;
  const auto found = pieces.find(reinterpret_cast<uintptr_t>(data));
  TESSERA_CHECK(found != pieces.end());
  ASAN_UNPOISON_MEMORY_REGION(data, found->second);
  pieces.erase(found);
  --live;
  std::free(data);
  return runtime.lost ? kLossError : cudaSuccess;
}

}  // namespace
}  // namespace tessera::fake_cuda

struct CUstream_st {
  std::shared_ptr<tessera::fake_cuda::Queue> queue;
};
struct CUevent_st {
  tessera::fake_cuda::Point point;
};

namespace tessera::fake_cuda {

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

using tessera::MutexLock;
using tessera::fake_cuda::Call;
using tessera::fake_cuda::Point;
using tessera::fake_cuda::Queue;
using tessera::fake_cuda::Runtime;
using tessera::fake_cuda::TheRuntime;

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInsufficientDriver:
      return "cudaErrorInsufficientDriver";
    case cudaErrorNoDevice:
      return "cudaErrorNoDevice";
    case cudaErrorIllegalAddress:
      return "cudaErrorIllegalAddress";
    default:
      return "cudaErrorOther";
  }
}

const char* cudaGetErrorString(cudaError_t) { return "words of the stand-in"; }

cudaError_t cudaGetLastError() {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  return std::exchange(runtime.last_error, cudaSuccess);
}

cudaError_t cudaGetDeviceCount(int* count) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  if (runtime.count_error == cudaSuccess) *count = runtime.device_count;
  return runtime.Remember(runtime.count_error);
}

cudaError_t cudaSetDevice(int) { return cudaSuccess; }

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  std::strcpy(properties->name, "Stand-in GPU");
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  if (runtime.lost) return tessera::fake_cuda::kLossError;
  *total = runtime.device_bytes;
  *free = runtime.device_bytes -
          std::min(runtime.device_bytes, runtime.DeviceBytesInUse());
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** data, size_t bytes) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  cudaError_t error = runtime.Begin(Call::kAllocate);
  if (error != cudaSuccess) return error;
  if (bytes > runtime.device_bytes ||
      runtime.DeviceBytesInUse() > runtime.device_bytes - bytes) {
    return runtime.Remember(cudaErrorMemoryAllocation);
  }
  error = tessera::fake_cuda::Allocate(runtime, runtime.device_memory, 256,
                                       data, bytes);
  if (error != cudaSuccess) return error;
  ASAN_POISON_MEMORY_REGION(*data, bytes);
  ++runtime.live.device_memory;
  return cudaSuccess;
}

cudaError_t cudaFree(void* data) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  return tessera::fake_cuda::Free(runtime, runtime.device_memory,
                                  runtime.live.device_memory, data);
}

cudaError_t cudaHostAlloc(void** data, size_t bytes, unsigned) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  cudaError_t error = runtime.Begin(Call::kAllocateHost);
  if (error != cudaSuccess) return error;
  if (bytes > tessera::fake_cuda::kPlentyBytes) {
    return runtime.Remember(cudaErrorMemoryAllocation);
  }
  error =
      tessera::fake_cuda::Allocate(runtime, runtime.host_memory,
                                   tessera::fake_cuda::kPageBytes, data, bytes);
  if (error == cudaSuccess) ++runtime.live.host_memory;
  return error;
}

cudaError_t cudaFreeHost(void* data) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  return tessera::fake_cuda::Free(runtime, runtime.host_memory,
                                  runtime.live.host_memory, data);
}

cudaError_t cudaHostRegister(void* data, size_t bytes, unsigned) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  const cudaError_t error = runtime.Begin(Call::kPin);
  if (error != cudaSuccess) return error;
  const auto address = reinterpret_cast<uintptr_t>(data);
  if (address % tessera::fake_cuda::kPageBytes != 0) {
    return runtime.Remember(cudaErrorInvalidValue);
  }
  if (!runtime.pins.emplace(address, bytes).second) {
    return runtime.Remember(cudaErrorHostMemoryAlreadyRegistered);
  }
  ++runtime.live.pins;
  return cudaSuccess;
}

cudaError_t cudaHostUnregister(void* data) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  TESSERA_CHECK(runtime.pins.erase(reinterpret_cast<uintptr_t>(data)) == 1);
  --runtime.live.pins;
  return cudaSuccess;
}

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
  if (runtime.lost) return tessera::fake_cuda::kLossError;
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
  if (runtime.lost) return tessera::fake_cuda::kLossError;
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
