#include "worker/train/gradient_pool.h"

#include <utility>

namespace tessera {

GradientVector::GradientVector(size_t elements,
                               std::shared_ptr<SharedRegion> region,
                               Device* device)
    : elements_(elements) {
  if (region != nullptr) {
    const auto memory = region->Allocate(elements * sizeof(float));
    if (memory.ok()) {
      data_ = static_cast<float*>(*memory);
      region_ = std::move(region);
      return;
    }
  }
  if (device != nullptr && device->kind() != DeviceKind::kCpu) {
    auto memory = device->Allocate(MemoryKind::kHost, elements * sizeof(float));
    if (memory.ok()) {
      pinned_ = *std::move(memory);
      data_ = static_cast<float*>(pinned_.data());
      return;
    }
  }
  data_ = new float[elements];
}

GradientVector::~GradientVector() {
  if (region_ != nullptr) {
    region_->Free(data_, elements_ * sizeof(float));
  } else if (pinned_.data() == nullptr) {
    delete[] data_;
  }
}

std::shared_ptr<GradientVector> GradientPool::Acquire() {
  std::unique_ptr<GradientVector> vector;
  std::shared_ptr<SharedRegion> region;
  {
    MutexLock lock(&mutex_);
    if (free_.empty()) {
      ++made_;
      region = region_;
    } else {
      vector = std::move(free_.back());
      free_.pop_back();
    }
  }
  if (vector == nullptr) {
    vector =
        std::make_unique<GradientVector>(elements_, std::move(region), device_);
  }
  return std::shared_ptr<GradientVector>(
      vector.release(), [this](GradientVector* returned) {
        Release(std::unique_ptr<GradientVector>(returned));
      });
}

void GradientPool::UseRegion(std::shared_ptr<SharedRegion> region) {
  std::vector<std::unique_ptr<GradientVector>> idle;
  MutexLock lock(&mutex_);
  region_.swap(region);
  idle.swap(free_);
}

int64_t GradientPool::made() const {
  MutexLock lock(&mutex_);
  return made_;
}

void GradientPool::Release(std::unique_ptr<GradientVector> vector) {
  MutexLock lock(&mutex_);
  free_.push_back(std::move(vector));
}

}  // namespace tessera
