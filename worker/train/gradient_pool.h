// Flat gradient vectors, used over and over. A range's vector is in use until
// the last push that refers to it is done.

#ifndef TESSERA_WORKER_TRAIN_GRADIENT_POOL_H_
#define TESSERA_WORKER_TRAIN_GRADIENT_POOL_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/types/span.h"
#include "common/base/mutex.h"

namespace tessera {

// Thread-safe. Must outlive the vectors that it lends.
class GradientPool {
 public:
  // Lends vectors of `elements` floats.
  explicit GradientPool(int64_t elements)
      : elements_(static_cast<size_t>(elements)) {}

  // A vector whose contents are unspecified; it returns to the pool when the
  // last reference goes.
  std::shared_ptr<std::vector<float>> Acquire();

  // Vectors made so far; it stops growing once training is steady.
  int64_t made() const;

 private:
  void Release(std::unique_ptr<std::vector<float>> vector);

  const size_t elements_;
  mutable Mutex mutex_;
  std::vector<std::unique_ptr<std::vector<float>>> free_
      ABSL_GUARDED_BY(mutex_);
  int64_t made_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_TRAIN_GRADIENT_POOL_H_
