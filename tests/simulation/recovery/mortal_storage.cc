#include "tests/simulation/recovery/mortal_storage.h"

#include "common/base/status_macros.h"

namespace tessera {

class MortalStorage::Writer : public WritableFile {
 public:
  Writer(std::string path, MortalStorage& storage,
         std::unique_ptr<WritableFile> file)
      : WritableFile(std::move(path)),
        storage_(storage),
        file_(std::move(file)) {}

 private:
  absl::Status DoAppend(absl::string_view data) override {
    TESSERA_RETURN_IF_ERROR(storage_.Live());
    return file_->Append(data);
  }
  absl::Status DoSync() override {
    TESSERA_RETURN_IF_ERROR(storage_.Live());
    return file_->Sync();
  }
  absl::Status DoClose() override {
    TESSERA_RETURN_IF_ERROR(storage_.Live());
    return file_->Close();
  }

  MortalStorage& storage_;
  const std::unique_ptr<WritableFile> file_;
};

class MortalStorage::Reader : public ReadableFile {
 public:
  Reader(MortalStorage& storage, std::unique_ptr<ReadableFile> file)
      : storage_(storage), file_(std::move(file)) {}

  absl::StatusOr<int64_t> Size() const override { return file_->Size(); }
  absl::Status Read(int64_t offset, int64_t bytes, char* out) const override {
    TESSERA_RETURN_IF_ERROR(storage_.Live());
    return file_->Read(offset, bytes, out);
  }

 private:
  MortalStorage& storage_;
  const std::unique_ptr<ReadableFile> file_;
};

absl::Status MortalStorage::Live() {
  if (!is_dead_ && before_each_ != nullptr) before_each_();
  if (!is_dead_ && --left_ <= 0) {
    is_dead_ = true;
    die_();
  }
  return is_dead_ ? absl::CancelledError("the process is dead")
                  : absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<WritableFile>> MortalStorage::CreateFile(
    const std::string& path) {
  TESSERA_RETURN_IF_ERROR(Live());
  TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<WritableFile> file,
                           disk_.CreateFile(path));
  return std::make_unique<Writer>(path, *this, std::move(file));
}

absl::StatusOr<std::unique_ptr<ReadableFile>> MortalStorage::OpenFile(
    const std::string& path) {
  TESSERA_RETURN_IF_ERROR(Live());
  TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<ReadableFile> file,
                           disk_.OpenFile(path));
  return std::make_unique<Reader>(*this, std::move(file));
}

absl::Status MortalStorage::Rename(const std::string& from,
                                   const std::string& to) {
  TESSERA_RETURN_IF_ERROR(Live());
  return disk_.Rename(from, to);
}

absl::Status MortalStorage::RemoveFile(const std::string& path) {
  TESSERA_RETURN_IF_ERROR(Live());
  return disk_.RemoveFile(path);
}

absl::Status MortalStorage::MakeFolder(const std::string& path) {
  TESSERA_RETURN_IF_ERROR(Live());
  return disk_.MakeFolder(path);
}

absl::Status MortalStorage::RemoveFolder(const std::string& path) {
  TESSERA_RETURN_IF_ERROR(Live());
  return disk_.RemoveFolder(path);
}

absl::Status MortalStorage::SyncFolder(const std::string& path) {
  TESSERA_RETURN_IF_ERROR(Live());
  return disk_.SyncFolder(path);
}

absl::StatusOr<std::vector<std::string>> MortalStorage::List(
    const std::string& path) {
  TESSERA_RETURN_IF_ERROR(Live());
  return disk_.List(path);
}

absl::StatusOr<int64_t> MortalStorage::FreeBytes(const std::string& path) {
  TESSERA_RETURN_IF_ERROR(Live());
  return disk_.FreeBytes(path);
}

}  // namespace tessera
