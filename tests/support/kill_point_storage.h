// Storage that says where in a checkpoint's life a process is, so that a test
// can kill a real server right there. See common/storage/storage.h for what
// survives such a death: everything, as the machine itself goes on.

#ifndef TESSERA_TESTS_SUPPORT_KILL_POINT_STORAGE_H_
#define TESSERA_TESTS_SUPPORT_KILL_POINT_STORAGE_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/base/mutex.h"
#include "common/storage/storage.h"

namespace tessera {

struct KillPoint {
  const char* name;
  // False: on shard 0 only, whose server completes sets and removes old ones.
  bool on_every_shard;
  // A server passes it only when it loads a set, thus after another death.
  bool when_restoring;
  // At which passing a death shows most: with one set to go back to, as a rule.
  int passings = 2;
};

// All there are, in the order of a checkpoint's life.
absl::Span<const KillPoint> KillPoints();

// Passes everything on to another storage and calls `on_point` with the name of
// each point, in the thread that comes by. Thread-safe if both are.
class KillPointStorage : public Storage {
 public:
  using OnPoint = std::function<void(absl::string_view name)>;

  // `storage` must outlive it and its files.
  KillPointStorage(Storage& storage, OnPoint on_point);

  absl::StatusOr<std::unique_ptr<WritableFile>> CreateFile(
      const std::string& path) override;
  absl::StatusOr<std::unique_ptr<ReadableFile>> OpenFile(
      const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status RemoveFile(const std::string& path) override;
  absl::Status MakeFolder(const std::string& path) override;
  absl::Status RemoveFolder(const std::string& path) override;
  absl::Status SyncFolder(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(
      const std::string& path) override;
  absl::StatusOr<int64_t> FreeBytes(const std::string& path) override;

 private:
  class Writer;
  class Reader;

  void Pass(absl::string_view subject, absl::string_view moment);
  // What the next sync of the folder is for: "shard", say.
  void Expect(const std::string& folder, const std::string& subject);
  std::string Expected(const std::string& folder);

  Storage& storage_;
  const OnPoint on_point_;
  Mutex mutex_;
  std::map<std::string, std::string> expected_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tessera

#endif  // TESSERA_TESTS_SUPPORT_KILL_POINT_STORAGE_H_
