// A process's view of the disk that all share: once the process is dead,
// nothing it does reaches the disk. What it did before stays.

#ifndef TESSERA_TESTS_SIMULATION_RECOVERY_MORTAL_STORAGE_H_
#define TESSERA_TESTS_SIMULATION_RECOVERY_MORTAL_STORAGE_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/storage/storage.h"

namespace tessera {

// Not thread-safe. Files that it opens must not outlive it.
class MortalStorage : public Storage {
 public:
  // `disk` must outlive it. `before_each` is called before every operation; its
  // process may die in it.
  explicit MortalStorage(Storage& disk,
                         std::function<void()> before_each = nullptr)
      : disk_(disk), before_each_(std::move(before_each)) {}

  // Its process dies before the n-th operation from now on; `die` is called
  // then.
  void DieAtOperation(int64_t n, std::function<void()> die) {
    left_ = n;
    die_ = std::move(die);
  }
  void Die() { is_dead_ = true; }

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

  // CANCELLED for a dead process. Every operation begins with it.
  absl::Status Live();

  Storage& disk_;
  const std::function<void()> before_each_;
  bool is_dead_ = false;
  int64_t left_ = std::numeric_limits<int64_t>::max();
  std::function<void()> die_;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_SIMULATION_RECOVERY_MORTAL_STORAGE_H_
