// Writes a shard's file of a checkpoint in the background.

#ifndef TESSERA_SERVER_SERVICE_BACKGROUND_WRITER_H_
#define TESSERA_SERVER_SERVICE_BACKGROUND_WRITER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/storage/storage.h"
#include "server/checkpoint/format.h"
#include "server/shard/shard_snapshot.h"
#include "tessera/v1/checkpoint.pb.h"

namespace tessera {

// Thread-safe. One file at a time, on a thread of its own, which all reading of
// snapshots happens on.
class BackgroundWriter {
 public:
  struct Options {
    // The sets' folder.
    std::string root;
    // 0 for as fast as it goes.
    int64_t bytes_per_second = 0;
  };

  // Called once, with what WriteShardFile gives, or CANCELLED: on the writer's
  // thread, or on one that calls the writer, which holds no lock meanwhile. The
  // snapshot is gone by then.
  using Done = std::function<void(absl::StatusOr<v1::CheckpointFile>)>;

  // `storage` must outlive the writer.
  BackgroundWriter(Storage& storage, Options options);
  // Stops.
  ~BackgroundWriter();

  // Begins to write; what is being written is cancelled first.
  void Write(const ShardHeader& header, std::shared_ptr<ShardSnapshot> snapshot,
             Done done);

  // Ends what is being written after the piece, or the sync, at hand. Does not
  // wait for that.
  void Cancel();

  // Cancels and waits; for one thread. A later Write is cancelled at once.
  void Stop();

 private:
  class Source;
  class CancellablePacer;
  struct Task {
    ShardHeader header;
    std::shared_ptr<ShardSnapshot> snapshot;
    Done done;
  };

  void Run();
  absl::StatusOr<v1::CheckpointFile> WriteFile(const Task& task);
  // Waits until `time`. Codes: CANCELLED.
  absl::Status PauseUntil(absl::Time time);

  Storage& storage_;
  const Options options_;

  Mutex mutex_;
  // Next; the one at hand is on the thread's stack.
  std::optional<Task> task_ ABSL_GUARDED_BY(mutex_);
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SERVICE_BACKGROUND_WRITER_H_
