#include "common/device/buffer_pool.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>

#include "common/base/check.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"

namespace tessera {
namespace internal {

struct PooledBuffer {
  explicit PooledBuffer(Memory memory)
      : data(memory.data()), bytes(memory.bytes()), own(std::move(memory)) {}
  PooledBuffer(std::shared_ptr<HostMemorySource> from, HostPin p, void* d,
               size_t b)
      : data(d), bytes(b), source(std::move(from)), pin(std::move(p)) {}
  ~PooledBuffer() {
    pin = HostPin();
    if (source != nullptr) source->Free(data, bytes);
  }

  void* const data;
  const size_t bytes;
  // Whose the bytes are: one of the two.
  const Memory own;
  const std::shared_ptr<HostMemorySource> source;
  HostPin pin;  // Of the source's memory.

  std::atomic<int> shares = 0;
  // Set while in use: buffers may outlive their pool.
  std::shared_ptr<PoolCore> core;
};

class PoolCore {
 public:
  PoolCore(Device& device, MemoryKind kind,
           std::shared_ptr<HostMemorySource> source)
      : device_(device), kind_(kind), source_(std::move(source)) {
    TESSERA_CHECK(source_ == nullptr || kind_ == MemoryKind::kHost);
  }

  // Gives a buffer with no share in it yet.
  absl::StatusOr<PooledBuffer*> Take(size_t bytes) {
    std::unique_ptr<PooledBuffer> buffer = Reuse(bytes);
    if (buffer == nullptr) {
      TESSERA_ASSIGN_OR_RETURN(buffer, Make(bytes));
      CountNew(static_cast<int64_t>(bytes));
    }
    return buffer.release();
  }

  void GiveBack(std::unique_ptr<PooledBuffer> buffer) {
    MutexLock lock(&mutex_);
    const size_t bytes = buffer->bytes;
    usage_.in_use_bytes -= static_cast<int64_t>(bytes);
    std::deque<std::unique_ptr<PooledBuffer>>& idle = idle_[bytes];
    // Those of the source are to be used first, or those that stand in for them
    // would, once made, be preferred for ever.
    if (source_ != nullptr && buffer->source == nullptr) {
      idle.push_front(std::move(buffer));
    } else {
      idle.push_back(std::move(buffer));
    }
  }

  BufferPool::Usage usage() const {
    MutexLock lock(&mutex_);
    return usage_;
  }

 private:
  absl::StatusOr<std::unique_ptr<PooledBuffer>> Make(size_t bytes) const {
    if (std::unique_ptr<PooledBuffer> buffer = MakeFromSource(bytes)) {
      return buffer;
    }
    TESSERA_ASSIGN_OR_RETURN(Memory memory, device_.Allocate(kind_, bytes));
    return std::make_unique<PooledBuffer>(std::move(memory));
  }

  // Null where the source has no memory, or the device cannot pin it.
  std::unique_ptr<PooledBuffer> MakeFromSource(size_t bytes) const {
    if (source_ == nullptr) return nullptr;
    const absl::StatusOr<void*> data = source_->Allocate(bytes);
    if (!data.ok()) return nullptr;
    absl::StatusOr<HostPin> pin = device_.Pin(*data, bytes);
    if (!pin.ok()) {
      source_->Free(*data, bytes);
      return nullptr;
    }
    return std::make_unique<PooledBuffer>(source_, *std::move(pin), *data,
                                          bytes);
  }

  std::unique_ptr<PooledBuffer> Reuse(size_t bytes) {
    MutexLock lock(&mutex_);
    const auto found = idle_.find(bytes);
    if (found == idle_.end() || found->second.empty()) return nullptr;
    // The one last used: the most of it may still be in a cache.
    std::unique_ptr<PooledBuffer> buffer = std::move(found->second.back());
    found->second.pop_back();
    AddUse(static_cast<int64_t>(bytes));
    return buffer;
  }

  void CountNew(int64_t bytes) {
    MutexLock lock(&mutex_);
    usage_.total_bytes += bytes;
    AddUse(bytes);
  }

  void AddUse(int64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    usage_.in_use_bytes += bytes;
    usage_.in_use_bytes_max =
        std::max(usage_.in_use_bytes_max, usage_.in_use_bytes);
  }

  Device& device_;
  const MemoryKind kind_;
  const std::shared_ptr<HostMemorySource> source_;

  mutable Mutex mutex_;
  std::map<size_t, std::deque<std::unique_ptr<PooledBuffer>>> idle_
      ABSL_GUARDED_BY(mutex_);
  BufferPool::Usage usage_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace internal

BufferRef::BufferRef(const BufferRef& other) : buffer_(other.buffer_) {
  if (buffer_ != nullptr) {
    buffer_->shares.fetch_add(1, std::memory_order_relaxed);
  }
}

void BufferRef::Drop() {
  internal::PooledBuffer* const buffer = std::exchange(buffer_, nullptr);
  if (buffer == nullptr) return;
  if (buffer->shares.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
  // Kept until the end of this call: it may be the last to know the core.
  const std::shared_ptr<internal::PoolCore> core = std::move(buffer->core);
  core->GiveBack(std::unique_ptr<internal::PooledBuffer>(buffer));
}

void* BufferRef::data() const { return buffer_->data; }

size_t BufferRef::bytes() const { return buffer_->bytes; }

bool BufferRef::IsUnique() const {
  return buffer_->shares.load(std::memory_order_acquire) == 1;
}

BufferPool::BufferPool(Device& device, MemoryKind kind,
                       std::shared_ptr<HostMemorySource> source)
    : core_(std::make_shared<internal::PoolCore>(device, kind,
                                                 std::move(source))) {}

BufferPool::~BufferPool() = default;

absl::StatusOr<BufferRef> BufferPool::Get(size_t bytes) {
  TESSERA_ASSIGN_OR_RETURN(internal::PooledBuffer * buffer, core_->Take(bytes));
  buffer->shares.store(1, std::memory_order_relaxed);
  buffer->core = core_;
  return BufferRef(buffer);
}

BufferPool::Usage BufferPool::usage() const { return core_->usage(); }

}  // namespace tessera
