// Shard 0's part in checkpoints: what is there at the start, and the manifests
// that make sets complete.

#ifndef TESSERA_SERVER_SERVICE_CHECKPOINT_KEEPER_H_
#define TESSERA_SERVER_SERVICE_CHECKPOINT_KEEPER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "common/job/job.h"
#include "common/storage/storage.h"
#include "server/coordinator/options.h"
#include "tessera/v1/checkpoint.pb.h"

namespace tessera {

// The job's complete sets under `root`, newest first, which is made if it is
// not there. Sets that are damaged are passed over, and logged. Codes:
// storage.h's; FAILED_PRECONDITION when a set is of another job.
absl::StatusOr<std::vector<RestorePoint>> FindRestorePoints(
    Storage& storage, const std::string& root, const Job& job);

// Thread-safe, but for Start and Stop, which are for one thread.
class CheckpointKeeper {
 public:
  // How an attempt ended: Coordinator::OnManifestWritten. Called on the
  // keeper's thread.
  using Written =
      std::function<void(uint64_t set_id, const absl::Status&, int64_t bytes)>;

  struct Options {
    // The sets' folder.
    std::string root;
    // For the manifests.
    std::function<absl::Time()> clock;
    // The newest set there is, for the log.
    std::string newest = "none";
  };

  // `job` and `storage` must outlive the keeper.
  CheckpointKeeper(const Job& job, Storage& storage, Options options);
  // Stops.
  ~CheckpointKeeper();

  // Queues a manifest (Coordinator::TakeManifest), also before Start: it is
  // completed and written, then sets beyond those that the job keeps are
  // removed, then `written` is called.
  void Take(v1::CheckpointManifest manifest);

  void Start(Written written);

  // Waits for the manifest at hand; later ones are not written.
  void Stop();

 private:
  void Run();
  void Write(v1::CheckpointManifest manifest);
  void RemoveOld(const v1::CheckpointManifest& newest);

  const Job& job_;
  Storage& storage_;
  const Options options_;
  Written written_;
  std::string newest_;  // Of the thread's.

  Mutex mutex_;
  std::deque<v1::CheckpointManifest> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SERVICE_CHECKPOINT_KEEPER_H_
