// Storage in memory that fails and loses what a disk may lose, from a seed.
//
//   seen      what reads and lists give: every operation that was done
//   durable   what a crash leaves for certain: what was synced
//
// A crash keeps of everything in between what chance says, as harshly as POSIX
// allows: of each unsynced write any of its sectors (missing ones read as
// zeros, one may be torn), of each name made, moved or removed without a sync
// of its folder since the old state or the new, in no order. A sync that fails
// makes part of it durable, and the rest never: it stays seen, later syncs
// succeed, a crash loses it. See common/storage/storage.h.

#ifndef TESSERA_TESTS_SUPPORT_FAULTY_STORAGE_H_
#define TESSERA_TESTS_SUPPORT_FAULTY_STORAGE_H_

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/storage/storage.h"

namespace tessera {

enum class StorageOp {
  kCreate,
  kOpen,
  kAppend,
  kSync,
  kClose,
  kRead,
  kRename,
  kRemove,
  kMakeFolder,
  kSyncFolder,
  kList,
};

// Not thread-safe. The folders "/" and "." are there and last.
class FaultyStorage : public Storage {
 public:
  explicit FaultyStorage(uint64_t seed);
  ~FaultyStorage() override;

  // The n-th operation from now on (1 is the next) fails with `error`; only
  // operations of kind `op` count, if given. Appends that fail write any part;
  // renames and removals may have happened all the same. Faults add up.
  void FailNth(std::optional<StorageOp> op, int64_t n, absl::Status error);

  // From now on appends fail with RESOURCE_EXHAUSTED once all files together
  // have so many bytes.
  void set_capacity_bytes(int64_t bytes) { capacity_bytes_ = bytes; }

  // The n-th operation from now on happens in part or not at all, and the
  // machine with it: everything fails with UNAVAILABLE until Restart().
  void CrashAtOperation(int64_t n) { crash_at_ = operations_ + n; }

  // Loses what is not durable, and forgets all faults. Files that were open
  // stay unusable.
  void Restart();

  // While quiet, operations neither fail nor count: for tests that only look.
  void set_quiet(bool quiet) { is_quiet_ = quiet; }

  bool is_down() const { return is_down_; }
  // So far.
  int64_t operations() const { return operations_; }
  // One line for each operation so far, with what became of it.
  const std::vector<std::string>& trace() const { return trace_; }

  // What reads of a file give. The file must be there, below too.
  const std::string& Contents(const std::string& path) const;
  // Damages a file, so that it lasts.
  void SetContents(const std::string& path, std::string contents);

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
  struct Inode;
  class Writer;
  class Reader;
  using Names = std::map<std::string, std::shared_ptr<Inode>>;

  // A change of names that its folder's sync would make durable. Of one rename
  // both names change or neither does.
  struct NameChange {
    std::string removed;
    std::string made;
    std::shared_ptr<Inode> inode;
  };
  struct Fault {
    std::optional<StorageOp> op;
    int64_t left = 0;
    absl::Status error;
  };
  // How an operation is to go.
  struct Fate {
    absl::Status status;
    bool happens = true;
  };

  Fate Decide(StorageOp op, const std::string& what);
  absl::StatusOr<std::shared_ptr<Inode>> Find(const std::string& path) const;
  absl::Status CheckParent(const std::string& path) const;
  // Does it as far as reads can see.
  void Change(NameChange change);
  static void Apply(const NameChange& change, Names& names);
  // Makes durable what chance picks, and forgets that the rest was to be.
  void KeepSome(Inode& inode);
  void KeepSome(std::vector<NameChange>& changes);
  int64_t TotalBytes() const;
  bool Chance(double probability);
  size_t Below(size_t bound);

  std::mt19937_64 random_;
  int64_t operations_ = 0;
  int64_t crash_at_ = std::numeric_limits<int64_t>::max();
  int64_t capacity_bytes_ = std::numeric_limits<int64_t>::max();
  bool is_down_ = false;
  bool is_quiet_ = false;
  // Tells files that were opened before a crash from those after it.
  int64_t life_ = 0;
  std::vector<Fault> faults_;
  std::vector<std::string> trace_;
  Names seen_;
  Names durable_;
  // By folder, oldest first.
  std::map<std::string, std::vector<NameChange>> pending_;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_SUPPORT_FAULTY_STORAGE_H_
