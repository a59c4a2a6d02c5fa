#include "tests/support/faulty_storage.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace tessera {
namespace {

constexpr size_t kSectorBytes = 512;

constexpr const char* kOpNames[] = {"create", "open",        "append", "sync",
                                    "close",  "read",        "rename", "remove",
                                    "mkdir",  "sync folder", "list"};

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == path.npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::Status Down() {
  return absl::UnavailableError("the simulated machine has crashed");
}

}  // namespace

struct FaultyStorage::Inode {
  struct Write {
    size_t offset;
    size_t bytes;
  };

  bool is_folder = false;
  std::string seen;
  std::string durable;
  std::vector<Write> pending;

  void Keep(size_t offset, size_t bytes) {
    if (bytes == 0) return;
    durable.resize(std::max(durable.size(), offset + bytes), '\0');
    std::memcpy(durable.data() + offset, seen.data() + offset, bytes);
  }

  void KeepAll() {
    for (const Write& write : pending) Keep(write.offset, write.bytes);
    pending.clear();
  }
};

class FaultyStorage::Writer : public WritableFile {
 public:
  Writer(std::string path, std::shared_ptr<Inode> inode, FaultyStorage& storage)
      : WritableFile(std::move(path)),
        inode_(std::move(inode)),
        storage_(storage),
        life_(storage.life_) {}

 private:
  absl::Status DoAppend(absl::string_view data) override {
    if (life_ != storage_.life_) return Down();
    Fate fate = storage_.Decide(StorageOp::kAppend,
                                absl::StrCat(path(), " ", data.size()));
    size_t bytes = data.size();
    if (!fate.status.ok()) bytes = storage_.Below(bytes + 1);
    const int64_t room = storage_.capacity_bytes_ - storage_.TotalBytes();
    if (static_cast<int64_t>(bytes) > room) {
      bytes = static_cast<size_t>(std::max<int64_t>(room, 0));
      fate.status = absl::ResourceExhaustedError(
          absl::StrCat("cannot write file ", path(), ": the disk is full"));
    }
    inode_->pending.push_back({inode_->seen.size(), bytes});
    inode_->seen.append(data.data(), bytes);
    return fate.status;
  }

  absl::Status DoSync() override {
    if (life_ != storage_.life_) return Down();
    const Fate fate = storage_.Decide(StorageOp::kSync, path());
    // What a crash does to the rest is for Restart to say.
    if (storage_.is_down_) return fate.status;
    if (!fate.status.ok()) storage_.KeepSome(*inode_);
    inode_->KeepAll();
    return fate.status;
  }

  absl::Status DoClose() override {
    if (life_ != storage_.life_) return Down();
    return storage_.Decide(StorageOp::kClose, path()).status;
  }

  const std::shared_ptr<Inode> inode_;
  FaultyStorage& storage_;
  const int64_t life_;
};

class FaultyStorage::Reader : public ReadableFile {
 public:
  Reader(std::string path, std::shared_ptr<Inode> inode, FaultyStorage& storage)
      : path_(std::move(path)),
        inode_(std::move(inode)),
        storage_(storage),
        life_(storage.life_) {}

  absl::StatusOr<int64_t> Size() const override {
    if (life_ != storage_.life_) return Down();
    return static_cast<int64_t>(inode_->seen.size());
  }

  absl::Status Read(int64_t offset, int64_t bytes, char* out) const override {
    if (life_ != storage_.life_) return Down();
    TESSERA_RETURN_IF_ERROR(
        storage_.Decide(StorageOp::kRead, absl::StrCat(path_, " ", bytes))
            .status);
    if (offset + bytes > static_cast<int64_t>(inode_->seen.size())) {
      return absl::OutOfRangeError(absl::StrCat("cannot read file ", path_,
                                                ": it ends at byte ",
                                                inode_->seen.size()));
    }
    if (bytes > 0) {
      std::memcpy(out, inode_->seen.data() + offset,
                  static_cast<size_t>(bytes));
    }
    return absl::OkStatus();
  }

 private:
  const std::string path_;
  const std::shared_ptr<Inode> inode_;
  FaultyStorage& storage_;
  const int64_t life_;
};

FaultyStorage::FaultyStorage(uint64_t seed) : random_(seed) {
  for (const char* path : {"/", "."}) {
    auto folder = std::make_shared<Inode>();
    folder->is_folder = true;
    seen_[path] = durable_[path] = folder;
  }
}

FaultyStorage::~FaultyStorage() = default;

bool FaultyStorage::Chance(double probability) {
  return static_cast<double>(random_() >> 11) * 0x1p-53 < probability;
}

size_t FaultyStorage::Below(size_t bound) { return random_() % bound; }

void FaultyStorage::FailNth(std::optional<StorageOp> op, int64_t n,
                            absl::Status error) {
  faults_.push_back({op, n, std::move(error)});
}

FaultyStorage::Fate FaultyStorage::Decide(StorageOp op,
                                          const std::string& what) {
  if (is_down_) return {Down(), false};
  if (is_quiet_) return {};
  ++operations_;
  Fate fate;
  for (Fault& fault : faults_) {
    if (fault.op.has_value() && *fault.op != op) continue;
    if (--fault.left == 0) fate = {fault.error, Chance(0.5)};
  }
  if (operations_ >= crash_at_) {
    is_down_ = true;
    fate = {Down(), Chance(0.5)};
  }
  trace_.push_back(absl::StrCat(operations_, " ",
                                kOpNames[static_cast<int>(op)], " ", what, ": ",
                                fate.status.ToString()));
  return fate;
}

absl::StatusOr<std::shared_ptr<FaultyStorage::Inode>> FaultyStorage::Find(
    const std::string& path) const {
  const auto found = seen_.find(path);
  if (found == seen_.end()) {
    return absl::NotFoundError(absl::StrCat("there is no ", path));
  }
  return found->second;
}

absl::Status FaultyStorage::CheckParent(const std::string& path) const {
  TESSERA_ASSIGN_OR_RETURN(const auto parent, Find(ParentOf(path)));
  if (parent->is_folder) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(ParentOf(path), " is no folder"));
}

void FaultyStorage::Apply(const NameChange& change, Names& names) {
  names.erase(change.removed);
  if (change.inode != nullptr) names[change.made] = change.inode;
}

void FaultyStorage::Change(NameChange change) {
  Apply(change, seen_);
  const std::string& name =
      change.inode != nullptr ? change.made : change.removed;
  pending_[ParentOf(name)].push_back(std::move(change));
}

// Of each unsynced write any of its sectors; the rest is lost for good.
void FaultyStorage::KeepSome(Inode& inode) {
  // Extremes are as likely as mixtures.
  constexpr double kShares[] = {0, 0.1, 0.5, 0.9, 1};
  const double share = kShares[Below(std::size(kShares))];
  for (const Inode::Write& write : inode.pending) {
    for (size_t at = 0; at < write.bytes; at += kSectorBytes) {
      size_t bytes = std::min(kSectorBytes, write.bytes - at);
      if (!Chance(share)) continue;
      if (Chance(0.1)) bytes = Below(bytes + 1);
      inode.Keep(write.offset + at, bytes);
    }
  }
  inode.pending.clear();
}

void FaultyStorage::KeepSome(std::vector<NameChange>& changes) {
  constexpr double kShares[] = {0, 0.5, 1};
  const double share = kShares[Below(std::size(kShares))];
  for (const NameChange& change : changes) {
    if (Chance(share)) Apply(change, durable_);
  }
  changes.clear();
}

void FaultyStorage::Restart() {
  for (auto& [folder, changes] : pending_) KeepSome(changes);
  pending_.clear();
  // What lies in a folder that did not last cannot be reached.
  std::erase_if(durable_, [this](const auto& entry) {
    const std::string& path = entry.first;
    return path != "/" && path != "." && !durable_.contains(ParentOf(path));
  });
  for (auto& [path, inode] : durable_) {
    KeepSome(*inode);
    inode->seen = inode->durable;
  }
  seen_ = durable_;
  faults_.clear();
  crash_at_ = std::numeric_limits<int64_t>::max();
  capacity_bytes_ = std::numeric_limits<int64_t>::max();
  is_down_ = false;
  ++life_;
  trace_.push_back("restart");
}

const std::string& FaultyStorage::Contents(const std::string& path) const {
  const auto inode = Find(path);
  TESSERA_CHECK(inode.ok() && !(*inode)->is_folder);
  return (*inode)->seen;
}

void FaultyStorage::SetContents(const std::string& path, std::string contents) {
  const auto inode = Find(path);
  TESSERA_CHECK(inode.ok() && !(*inode)->is_folder);
  (*inode)->pending.clear();
  (*inode)->durable = contents;
  (*inode)->seen = std::move(contents);
}

int64_t FaultyStorage::TotalBytes() const {
  int64_t bytes = 0;
  for (const auto& [path, inode] : seen_) {
    bytes += static_cast<int64_t>(inode->seen.size());
  }
  return bytes;
}

absl::StatusOr<std::unique_ptr<WritableFile>> FaultyStorage::CreateFile(
    const std::string& path) {
  const Fate fate = Decide(StorageOp::kCreate, path);
  if (!fate.status.ok() && !fate.happens) return fate.status;
  TESSERA_RETURN_IF_ERROR(CheckParent(path));
  if (seen_.contains(path)) {
    return absl::AlreadyExistsError(absl::StrCat(path, " is there already"));
  }
  auto inode = std::make_shared<Inode>();
  Change({.made = path, .inode = inode});
  TESSERA_RETURN_IF_ERROR(fate.status);
  return std::make_unique<Writer>(path, std::move(inode), *this);
}

absl::StatusOr<std::unique_ptr<ReadableFile>> FaultyStorage::OpenFile(
    const std::string& path) {
  TESSERA_RETURN_IF_ERROR(Decide(StorageOp::kOpen, path).status);
  TESSERA_ASSIGN_OR_RETURN(auto inode, Find(path));
  if (inode->is_folder) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is no regular file"));
  }
  return std::make_unique<Reader>(path, std::move(inode), *this);
}

absl::Status FaultyStorage::Rename(const std::string& from,
                                   const std::string& to) {
  const Fate fate = Decide(StorageOp::kRename, absl::StrCat(from, " to ", to));
  if (!fate.status.ok() && !fate.happens) return fate.status;
  TESSERA_ASSIGN_OR_RETURN(auto inode, Find(from));
  if (inode->is_folder || ParentOf(from) != ParentOf(to)) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot rename ", from, " to ", to,
                     ": not a file, or not in its own folder"));
  }
  Change({.removed = from, .made = to, .inode = std::move(inode)});
  return fate.status;
}

absl::Status FaultyStorage::RemoveFile(const std::string& path) {
  const Fate fate = Decide(StorageOp::kRemove, path);
  if (!fate.status.ok() && !fate.happens) return fate.status;
  TESSERA_ASSIGN_OR_RETURN(const auto inode, Find(path));
  if (inode->is_folder) {
    return absl::FailedPreconditionError(absl::StrCat(path, " is a folder"));
  }
  Change({.removed = path});
  return fate.status;
}

absl::Status FaultyStorage::MakeFolder(const std::string& path) {
  const Fate fate = Decide(StorageOp::kMakeFolder, path);
  if (!fate.status.ok() && !fate.happens) return fate.status;
  TESSERA_RETURN_IF_ERROR(CheckParent(path));
  if (seen_.contains(path)) {
    return absl::AlreadyExistsError(absl::StrCat(path, " is there already"));
  }
  auto folder = std::make_shared<Inode>();
  folder->is_folder = true;
  Change({.made = path, .inode = std::move(folder)});
  return fate.status;
}

absl::Status FaultyStorage::RemoveFolder(const std::string& path) {
  const Fate fate = Decide(StorageOp::kRemove, path);
  if (!fate.status.ok() && !fate.happens) return fate.status;
  TESSERA_ASSIGN_OR_RETURN(const auto folder, Find(path));
  if (!folder->is_folder) {
    return absl::FailedPreconditionError(absl::StrCat(path, " is no folder"));
  }
  const auto next = seen_.lower_bound(path + "/");
  if (next != seen_.end() && absl::StartsWith(next->first, path + "/")) {
    return absl::FailedPreconditionError(absl::StrCat(path, " is not empty"));
  }
  Change({.removed = path});
  return fate.status;
}

absl::Status FaultyStorage::SyncFolder(const std::string& path) {
  const Fate fate = Decide(StorageOp::kSyncFolder, path);
  if (is_down_) return fate.status;
  TESSERA_RETURN_IF_ERROR(Find(path).status());
  std::vector<NameChange>& changes = pending_[path];
  if (!fate.status.ok()) KeepSome(changes);
  for (const NameChange& change : changes) Apply(change, durable_);
  changes.clear();
  return fate.status;
}

absl::StatusOr<std::vector<std::string>> FaultyStorage::List(
    const std::string& path) {
  TESSERA_RETURN_IF_ERROR(Decide(StorageOp::kList, path).status);
  TESSERA_RETURN_IF_ERROR(Find(path).status());
  const std::string prefix = path == "/" ? path : path + "/";
  std::vector<std::string> names;
  for (auto entry = seen_.upper_bound(prefix);
       entry != seen_.end() && absl::StartsWith(entry->first, prefix);
       ++entry) {
    std::string name = entry->first.substr(prefix.size());
    if (name.find('/') == name.npos) names.push_back(std::move(name));
  }
  return names;
}

absl::StatusOr<int64_t> FaultyStorage::FreeBytes(const std::string&) {
  if (is_down_) return Down();
  return std::max<int64_t>(capacity_bytes_ - TotalBytes(), 0);
}

}  // namespace tessera
