// Reference-counted buffers that go back to a pool and are used again, so that
// a steady step asks the system for no memory and touches no new page.

#ifndef TESSERA_COMMON_DEVICE_BUFFER_POOL_H_
#define TESSERA_COMMON_DEVICE_BUFFER_POOL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "common/device/device.h"
#include "common/device/host_memory_source.h"

namespace tessera {

namespace internal {
class PoolCore;
struct PooledBuffer;
}  // namespace internal

// A share in a buffer; empty when default-made. The last share gives the buffer
// back. Sharing and dropping shares is thread-safe; the bytes are as
// thread-safe as plain memory.
class BufferRef {
 public:
  BufferRef() = default;
  ~BufferRef() { Drop(); }
  BufferRef(const BufferRef& other);
  BufferRef(BufferRef&& other) noexcept
      : buffer_(std::exchange(other.buffer_, nullptr)) {}
  BufferRef& operator=(BufferRef other) noexcept {
    std::swap(buffer_, other.buffer_);
    return *this;
  }

  explicit operator bool() const { return buffer_ != nullptr; }

  void* data() const;
  float* floats() const { return static_cast<float*>(data()); }
  size_t bytes() const;

  // Whether this is the only share, so that its holder may write. What other
  // holders did before they let go has then happened. Only meaningful while
  // nobody else can copy this very BufferRef.
  bool IsUnique() const;

 private:
  friend class BufferPool;
  explicit BufferRef(internal::PooledBuffer* buffer) : buffer_(buffer) {}
  void Drop();

  internal::PooledBuffer* buffer_ = nullptr;
};

// Buffers of one kind of one device's memory, kept by size: meant for few sizes
// asked for over and over. Thread-safe. Buffers may outlive the pool; the
// device must outlive both.
class BufferPool {
 public:
  struct Usage {
    int64_t in_use_bytes = 0;
    int64_t in_use_bytes_max = 0;  // So far.
    int64_t total_bytes = 0;       // In use, or kept for use.
  };

  // New buffers come from `source` as long as that can give any that the device
  // can pin, and from the device otherwise, or without a source. Only a pool of
  // kHost may have one.
  BufferPool(Device& device, MemoryKind kind,
             std::shared_ptr<HostMemorySource> source = nullptr);
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  // A buffer of just this size with undefined contents, the only share in it.
  // Codes: as Device::Allocate.
  absl::StatusOr<BufferRef> Get(size_t bytes);

  Usage usage() const;

 private:
  std::shared_ptr<internal::PoolCore> core_;
};

}  // namespace tessera

#endif  // TESSERA_COMMON_DEVICE_BUFFER_POOL_H_
