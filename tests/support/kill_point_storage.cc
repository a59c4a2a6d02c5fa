#include "tests/support/kill_point_storage.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"
#include "server/checkpoint/format.h"

namespace tessera {
namespace {

constexpr KillPoint kPoints[] = {
    // When a server starts, before it listens.
    {"root-before-make", false, false, 1},
    {"root-after-make", false, false, 1},
    {"folder-before-make", true, false},
    {"folder-after-make", true, false},
    {"folder-before-folder-sync", true, false},
    {"folder-after-folder-sync", true, false},
    {"shard-before-create", true, false},
    {"shard-after-create", true, false},
    {"shard-in-append", true, false},
    {"shard-before-sync", true, false},
    {"shard-after-sync", true, false},
    {"shard-after-close", true, false},
    {"shard-before-rename", true, false},
    {"shard-after-rename", true, false},
    {"shard-before-folder-sync", true, false},
    {"shard-after-folder-sync", true, false},
    {"manifest-before-create", false, false},
    {"manifest-after-create", false, false},
    {"manifest-in-append", false, false},
    {"manifest-before-sync", false, false},
    {"manifest-after-sync", false, false},
    {"manifest-after-close", false, false},
    {"manifest-before-rename", false, false},
    {"manifest-after-rename", false, false},
    {"manifest-before-folder-sync", false, false},
    {"manifest-after-folder-sync", false, false},
    // Sets go only when there is another.
    {"old-manifest-before-remove", false, false, 1},
    {"old-manifest-after-remove", false, false, 1},
    {"old-manifest-before-folder-sync", false, false, 1},
    {"old-manifest-after-folder-sync", false, false, 1},
    {"old-shard-before-remove", false, false, 1},
    {"old-shard-after-remove", false, false, 1},
    {"old-folder-before-remove", false, false, 1},
    {"old-folder-after-remove", false, false, 1},
    {"old-folder-before-folder-sync", false, false, 1},
    {"old-folder-after-folder-sync", false, false, 1},
    {"manifest-before-read", true, true},
    {"manifest-after-read", true, true},
    {"shard-before-read", true, true},
    {"shard-in-read", true, true},
    {"shard-after-read", true, true},
};

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

absl::string_view NameOf(absl::string_view path) {
  return path.substr(path.rfind('/') + 1);  // npos + 1 is 0.
}

// "shard" or "manifest", for a file under its own name or its temporary one;
// else nothing.
absl::string_view SubjectOf(const std::string& path) {
  const absl::string_view name =
      absl::StripSuffix(NameOf(path), kTemporaryEnding);
  if (name == kManifestName) return "manifest";
  return absl::StartsWith(name, "shard-") ? "shard" : "";
}

}  // namespace

absl::Span<const KillPoint> KillPoints() { return kPoints; }

class KillPointStorage::Writer : public WritableFile {
 public:
  Writer(KillPointStorage& owner, const std::string& path,
         std::unique_ptr<WritableFile> file)
      : WritableFile(path),
        owner_(owner),
        subject_(SubjectOf(path)),
        file_(std::move(file)) {}

 private:
  absl::Status DoAppend(absl::string_view data) override {
    const size_t half = data.size() / 2;
    TESSERA_RETURN_IF_ERROR(file_->Append(data.substr(0, half)));
    owner_.Pass(subject_, "in-append");
    return file_->Append(data.substr(half));
  }

  absl::Status DoSync() override {
    owner_.Pass(subject_, "before-sync");
    TESSERA_RETURN_IF_ERROR(file_->Sync());
    owner_.Pass(subject_, "after-sync");
    return absl::OkStatus();
  }

  absl::Status DoClose() override {
    TESSERA_RETURN_IF_ERROR(file_->Close());
    owner_.Pass(subject_, "after-close");
    return absl::OkStatus();
  }

  KillPointStorage& owner_;
  const absl::string_view subject_;
  const std::unique_ptr<WritableFile> file_;
};

class KillPointStorage::Reader : public ReadableFile {
 public:
  Reader(KillPointStorage& owner, const std::string& path,
         std::unique_ptr<ReadableFile> file)
      : owner_(owner), subject_(SubjectOf(path)), file_(std::move(file)) {}

  absl::StatusOr<int64_t> Size() const override { return file_->Size(); }

  absl::Status Read(int64_t offset, int64_t bytes, char* out) const override {
    // Headers and footers are looked at whenever sets are: values only by who
    // loads them.
    const bool has_values = bytes > kShardHeaderBytes;
    if (!has_values) return file_->Read(offset, bytes, out);
    owner_.Pass(subject_, "before-read");
    TESSERA_RETURN_IF_ERROR(file_->Read(offset, bytes / 2, out));
    if (subject_ == "shard") owner_.Pass(subject_, "in-read");
    TESSERA_RETURN_IF_ERROR(
        file_->Read(offset + bytes / 2, bytes - bytes / 2, out + bytes / 2));
    owner_.Pass(subject_, "after-read");
    return absl::OkStatus();
  }

 private:
  KillPointStorage& owner_;
  const absl::string_view subject_;
  const std::unique_ptr<ReadableFile> file_;
};

KillPointStorage::KillPointStorage(Storage& storage, OnPoint on_point)
    : storage_(storage), on_point_(std::move(on_point)) {}

void KillPointStorage::Pass(absl::string_view subject,
                            absl::string_view moment) {
  if (!subject.empty()) on_point_(absl::StrCat(subject, "-", moment));
}

void KillPointStorage::Expect(const std::string& folder,
                              const std::string& subject) {
  MutexLock lock(&mutex_);
  expected_[folder] = subject;
}

std::string KillPointStorage::Expected(const std::string& folder) {
  MutexLock lock(&mutex_);
  const auto found = expected_.find(folder);
  return found == expected_.end() ? "" : found->second;
}

absl::StatusOr<std::unique_ptr<WritableFile>> KillPointStorage::CreateFile(
    const std::string& path) {
  Pass(SubjectOf(path), "before-create");
  TESSERA_ASSIGN_OR_RETURN(auto file, storage_.CreateFile(path));
  Pass(SubjectOf(path), "after-create");
  return std::make_unique<Writer>(*this, path, std::move(file));
}

absl::StatusOr<std::unique_ptr<ReadableFile>> KillPointStorage::OpenFile(
    const std::string& path) {
  TESSERA_ASSIGN_OR_RETURN(auto file, storage_.OpenFile(path));
  return std::make_unique<Reader>(*this, path, std::move(file));
}

absl::Status KillPointStorage::Rename(const std::string& from,
                                      const std::string& to) {
  const std::string subject(SubjectOf(to));
  Pass(subject, "before-rename");
  TESSERA_RETURN_IF_ERROR(storage_.Rename(from, to));
  Expect(ParentOf(to), subject);
  Pass(subject, "after-rename");
  return absl::OkStatus();
}

absl::Status KillPointStorage::RemoveFile(const std::string& path) {
  const absl::string_view subject = SubjectOf(path);
  const std::string old =
      subject.empty() ? std::string() : absl::StrCat("old-", subject);
  Pass(old, "before-remove");
  TESSERA_RETURN_IF_ERROR(storage_.RemoveFile(path));
  Expect(ParentOf(path), old);
  Pass(old, "after-remove");
  return absl::OkStatus();
}

absl::Status KillPointStorage::MakeFolder(const std::string& path) {
  // A set's, or one on the way to all sets.
  const bool is_set = ParseSetFolderName(NameOf(path)).has_value();
  const absl::string_view subject = is_set ? "folder" : "root";
  Pass(subject, "before-make");
  const absl::Status made = storage_.MakeFolder(path);
  if (is_set) Expect(ParentOf(path), "folder");
  // Also where it was there before.
  Pass(subject, "after-make");
  return made;
}

absl::Status KillPointStorage::RemoveFolder(const std::string& path) {
  Pass("old-folder", "before-remove");
  TESSERA_RETURN_IF_ERROR(storage_.RemoveFolder(path));
  Expect(ParentOf(path), "old-folder");
  Pass("old-folder", "after-remove");
  return absl::OkStatus();
}

absl::Status KillPointStorage::SyncFolder(const std::string& path) {
  const std::string subject = Expected(path);
  Pass(subject, "before-folder-sync");
  TESSERA_RETURN_IF_ERROR(storage_.SyncFolder(path));
  Expect(path, "");
  Pass(subject, "after-folder-sync");
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> KillPointStorage::List(
    const std::string& path) {
  return storage_.List(path);
}

absl::StatusOr<int64_t> KillPointStorage::FreeBytes(const std::string& path) {
  return storage_.FreeBytes(path);
}

}  // namespace tessera
