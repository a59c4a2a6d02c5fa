#include "worker/client/pull_all.h"

#include "common/base/mutex.h"

namespace tessera {
namespace {

// Blocks that are still missing, and what went wrong.
class Arrivals {
 public:
  explicit Arrivals(int blocks) : missing_(blocks) {}

  void Arrived(const absl::Status& status) {
    MutexLock lock(&mutex_);
    --missing_;
    status_.Update(status);
  }

  absl::Status Await() {
    MutexLock lock(&mutex_);
    mutex_.Await([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return missing_ == 0 || !status_.ok();
    });
    return status_;
  }

 private:
  Mutex mutex_;
  int missing_ ABSL_GUARDED_BY(mutex_);
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<std::vector<float>> PullAll(const ShardPlan& plan,
                                           int64_t version,
                                           ParameterClient& client) {
  std::vector<float> values(static_cast<size_t>(plan.elements()));
  Arrivals arrivals(plan.block_count());
  for (int block = 0; block < plan.block_count(); ++block) {
    const Interval elements = plan.BlockElements(block);
    client.Pull(
        block, version,
        absl::MakeSpan(values).subspan(static_cast<size_t>(elements.begin),
                                       static_cast<size_t>(elements.size())),
        [&arrivals](const absl::Status& status) { arrivals.Arrived(status); });
  }
  const absl::Status status = arrivals.Await();
  if (status.ok()) return values;
  // The other blocks would be written to memory that is about to go.
  client.CancelAll();
  return status;
}

}  // namespace tessera
