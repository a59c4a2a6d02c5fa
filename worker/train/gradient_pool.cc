#include "worker/train/gradient_pool.h"

#include <utility>

namespace tessera {

std::shared_ptr<std::vector<float>> GradientPool::Acquire() {
  std::unique_ptr<std::vector<float>> vector;
  {
    MutexLock lock(&mutex_);
    if (free_.empty()) {
      ++made_;
    } else {
      vector = std::move(free_.back());
      free_.pop_back();
    }
  }
  if (vector == nullptr) {
    vector = std::make_unique<std::vector<float>>(elements_);
  }
  return std::shared_ptr<std::vector<float>>(
      vector.release(), [this](std::vector<float>* returned) {
        Release(std::unique_ptr<std::vector<float>>(returned));
      });
}

int64_t GradientPool::made() const {
  MutexLock lock(&mutex_);
  return made_;
}

void GradientPool::Release(std::unique_ptr<std::vector<float>> vector) {
  MutexLock lock(&mutex_);
  free_.push_back(std::move(vector));
}

}  // namespace tessera
