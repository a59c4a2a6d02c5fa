// Flat gradient vectors, used over and over. A range's vector is in use until
// the last push that refers to it is done.

#ifndef TESSERA_WORKER_TRAIN_GRADIENT_POOL_H_
#define TESSERA_WORKER_TRAIN_GRADIENT_POOL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "common/base/mutex.h"
#include "common/device/device.h"
#include "common/shm/shared_region.h"

namespace tessera {

// So many floats, in a shared region, in memory that a GPU can copy to at any
// time, or in ordinary memory. Thread-compatible.
class GradientVector {
 public:
  // In the region's memory as far as that reaches, else in the device's pinned
  // memory as far as that does. Both may be null. (Not in both: a region that
  // is detached changes its pages under whoever has pinned them.)
  GradientVector(size_t elements, std::shared_ptr<SharedRegion> region,
                 Device* device = nullptr);
  ~GradientVector();
  GradientVector(const GradientVector&) = delete;
  GradientVector& operator=(const GradientVector&) = delete;

  float* data() { return data_; }
  const float* data() const { return data_; }
  size_t size() const { return elements_; }

 private:
  const size_t elements_;
  std::shared_ptr<SharedRegion> region_;  // Null for other memory.
  Memory pinned_;                         // Likewise empty.
  float* data_ = nullptr;
};

// Thread-safe. Must outlive the vectors that it lends.
class GradientPool {
 public:
  // Lends vectors of `elements` floats that servers on this machine may read in
  // `region`, which may be null, as may the device, which must outlive the
  // pool.
  explicit GradientPool(int64_t elements,
                        std::shared_ptr<SharedRegion> region = nullptr,
                        Device* device = nullptr)
      : elements_(static_cast<size_t>(elements)),
        device_(device),
        region_(std::move(region)) {}

  // Lends new vectors in `region`, which may be null, from now on. Those that
  // are lent stay where they are.
  void UseRegion(std::shared_ptr<SharedRegion> region);

  // A vector whose contents are unspecified; it returns to the pool when the
  // last reference goes.
  std::shared_ptr<GradientVector> Acquire();

  // Vectors made so far; it stops growing once training is steady.
  int64_t made() const;

 private:
  void Release(std::unique_ptr<GradientVector> vector);

  const size_t elements_;
  Device* const device_;
  mutable Mutex mutex_;
  std::shared_ptr<SharedRegion> region_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<GradientVector>> free_ ABSL_GUARDED_BY(mutex_);
  int64_t made_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_TRAIN_GRADIENT_POOL_H_
