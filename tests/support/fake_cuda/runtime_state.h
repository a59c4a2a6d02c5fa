// The stand-in's state: streams' queues, memory, orders to fail. For its own
// sources alone.

#ifndef TESSERA_TESTS_SUPPORT_FAKE_CUDA_RUNTIME_STATE_H_
#define TESSERA_TESTS_SUPPORT_FAKE_CUDA_RUNTIME_STATE_H_

#include <cuda_runtime_api.h>

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <utility>

#include "common/base/mutex.h"
#include "tests/support/fake_cuda/fake_cuda.h"

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

inline constexpr size_t kPageBytes = 4096;
inline constexpr size_t kPlentyBytes = size_t{1} << 30;
inline constexpr cudaError_t kLossError = cudaErrorIllegalAddress;

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
inline const Pieces::value_type* FindPiece(const Pieces& pieces,
                                           const void* at) {
  const auto address = reinterpret_cast<uintptr_t>(at);
  auto after = pieces.upper_bound(address);
  if (after == pieces.begin()) return nullptr;
  const auto& piece = *std::prev(after);
  return address < piece.first + piece.second ? &piece : nullptr;
}

// All state of the stand-in. Callers hold `mutex`.
class Runtime {
 public:
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

Runtime& TheRuntime();

}  // namespace tessera::fake_cuda

struct CUstream_st {
  std::shared_ptr<tessera::fake_cuda::Queue> queue;
};
struct CUevent_st {
  tessera::fake_cuda::Point point;
};

#endif  // TESSERA_TESTS_SUPPORT_FAKE_CUDA_RUNTIME_STATE_H_
