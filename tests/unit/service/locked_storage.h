// Storage for several threads, from one that is for one.

#ifndef TESSERA_TESTS_UNIT_SERVICE_LOCKED_STORAGE_H_
#define TESSERA_TESTS_UNIT_SERVICE_LOCKED_STORAGE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/mutex.h"
#include "common/storage/storage.h"

namespace tessera {

// Thread-safe: passes every operation on under one lock.
class LockedStorage : public Storage {
 public:
  // `storage` must outlive this, and every file of it.
  explicit LockedStorage(Storage& storage) : storage_(storage) {}

  // Whoever holds it has the storage for himself.
  Mutex& mutex() { return mutex_; }

  absl::StatusOr<std::unique_ptr<WritableFile>> CreateFile(
      const std::string& path) override {
    MutexLock lock(&mutex_);
    auto file = storage_.CreateFile(path);
    if (!file.ok()) return file.status();
    return std::make_unique<Writer>(path, *std::move(file), mutex_);
  }
  absl::StatusOr<std::unique_ptr<ReadableFile>> OpenFile(
      const std::string& path) override {
    MutexLock lock(&mutex_);
    auto file = storage_.OpenFile(path);
    if (!file.ok()) return file.status();
    return std::make_unique<Reader>(*std::move(file), mutex_);
  }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    MutexLock lock(&mutex_);
    return storage_.Rename(from, to);
  }
  absl::Status RemoveFile(const std::string& path) override {
    MutexLock lock(&mutex_);
    return storage_.RemoveFile(path);
  }
  absl::Status MakeFolder(const std::string& path) override {
    MutexLock lock(&mutex_);
    return storage_.MakeFolder(path);
  }
  absl::Status RemoveFolder(const std::string& path) override {
    MutexLock lock(&mutex_);
    return storage_.RemoveFolder(path);
  }
  absl::Status SyncFolder(const std::string& path) override {
    MutexLock lock(&mutex_);
    return storage_.SyncFolder(path);
  }
  absl::StatusOr<std::vector<std::string>> List(
      const std::string& path) override {
    MutexLock lock(&mutex_);
    return storage_.List(path);
  }
  absl::StatusOr<int64_t> FreeBytes(const std::string& path) override {
    MutexLock lock(&mutex_);
    return storage_.FreeBytes(path);
  }

 private:
  class Writer : public WritableFile {
   public:
    Writer(const std::string& path, std::unique_ptr<WritableFile> file,
           Mutex& mutex)
        : WritableFile(path), file_(std::move(file)), mutex_(mutex) {}
    ~Writer() override {
      MutexLock lock(&mutex_);
      file_.reset();
    }

   private:
    absl::Status DoAppend(absl::string_view data) override {
      MutexLock lock(&mutex_);
      return file_->Append(data);
    }
    absl::Status DoSync() override {
      MutexLock lock(&mutex_);
      return file_->Sync();
    }
    absl::Status DoClose() override {
      MutexLock lock(&mutex_);
      return file_->Close();
    }

    std::unique_ptr<WritableFile> file_;
    Mutex& mutex_;
  };

  class Reader : public ReadableFile {
   public:
    Reader(std::unique_ptr<ReadableFile> file, Mutex& mutex)
        : file_(std::move(file)), mutex_(mutex) {}
    ~Reader() override {
      MutexLock lock(&mutex_);
      file_.reset();
    }
    absl::StatusOr<int64_t> Size() const override {
      MutexLock lock(&mutex_);
      return file_->Size();
    }
    absl::Status Read(int64_t offset, int64_t bytes, char* out) const override {
      MutexLock lock(&mutex_);
      return file_->Read(offset, bytes, out);
    }

   private:
    std::unique_ptr<ReadableFile> file_;
    Mutex& mutex_;
  };

  Storage& storage_;
  Mutex mutex_;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_UNIT_SERVICE_LOCKED_STORAGE_H_
