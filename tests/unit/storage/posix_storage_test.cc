#include "common/storage/posix_storage.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/status.h"

namespace tessera {
namespace {

class Folder {
 public:
  Folder() : path_(std::string(std::getenv("TEST_TMPDIR")) + "/storage") {
    std::filesystem::remove_all(path_);
    REQUIRE(storage.MakeFolder(path_).ok());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const {
    return JoinPath(path_, name);
  }
  const std::string& path() const { return path_; }

  void Write(const std::string& name, const std::string& contents) {
    auto file = storage.CreateFile(*this / name);
    REQUIRE(file.ok());
    REQUIRE((*file)->Append(contents).ok());
    REQUIRE((*file)->Sync().ok());
    REQUIRE((*file)->Close().ok());
  }

  PosixStorage storage;

 private:
  const std::string path_;
};

TEST_CASE("what was written is read", "[storage]") {
  Folder folder;
  folder.Write("a", "0123456789");
  auto file = folder.storage.OpenFile(folder / "a");
  REQUIRE(file.ok());
  CHECK((*file)->Size().value() == 10);
  std::string middle(4, ' ');
  REQUIRE((*file)->Read(3, 4, middle.data()).ok());
  CHECK(middle == "3456");
  CHECK(ReadWholeFile(folder.storage, folder / "a", 10).value() ==
        "0123456789");
}

TEST_CASE("a read past the end says where the file ends", "[storage]") {
  Folder folder;
  folder.Write("a", "0123456789");
  auto file = folder.storage.OpenFile(folder / "a");
  REQUIRE(file.ok());
  std::string out(8, ' ');
  CHECK_THAT((*file)->Read(6, 8, out.data()),
             IsError(absl::StatusCode::kOutOfRange, folder / "a", "byte 10"));
}

TEST_CASE("errors name operation and path", "[storage]") {
  Folder folder;
  PosixStorage& storage = folder.storage;
  folder.Write("a", "x");
  const std::string none = folder / "none";
  CHECK_THAT(storage.OpenFile(none).status(),
             IsError(absl::StatusCode::kNotFound, "open file", none));
  CHECK_THAT(storage.CreateFile(folder / "a").status(),
             IsError(absl::StatusCode::kAlreadyExists, "create file", "/a"));
  CHECK_THAT(storage.Rename(none, folder / "b"),
             IsError(absl::StatusCode::kNotFound, "rename file", none, "/b"));
  CHECK_THAT(storage.RemoveFile(none),
             IsError(absl::StatusCode::kNotFound, "remove file", none));
  CHECK_THAT(storage.MakeFolder(folder.path()),
             IsError(absl::StatusCode::kAlreadyExists, "make folder"));
  CHECK_THAT(storage.SyncFolder(none),
             IsError(absl::StatusCode::kNotFound, "open folder", none));
  CHECK_THAT(storage.List(none).status(),
             IsError(absl::StatusCode::kNotFound, "list folder", none));
  CHECK_THAT(storage.FreeBytes(none).status(),
             IsError(absl::StatusCode::kNotFound, "free space", none));
  CHECK(!storage.RemoveFolder(folder.path()).ok());
  CHECK_THAT(ReadWholeFile(storage, folder / "a", 0).status(),
             IsError(absl::StatusCode::kResourceExhausted, "/a", "1 bytes"));
}

TEST_CASE("what is no file is not opened, and does not hang", "[storage]") {
  Folder folder;
  CHECK_THAT(folder.storage.OpenFile(folder.path()).status(),
             IsError(absl::StatusCode::kFailedPrecondition, "regular file"));
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK_THAT(folder.storage.OpenFile(folder / "pipe").status(),
             IsError(absl::StatusCode::kFailedPrecondition, "regular file"));
}

TEST_CASE("names: listed sorted, moved, removed", "[storage]") {
  Folder folder;
  folder.Write("b", "b");
  folder.Write("a", "a");
  PosixStorage& storage = folder.storage;
  CHECK(storage.List(folder.path()).value() ==
        std::vector<std::string>{"a", "b"});
  REQUIRE(storage.Rename(folder / "a", folder / "b").ok());
  REQUIRE(storage.SyncFolder(folder.path()).ok());
  CHECK(storage.List(folder.path()).value() == std::vector<std::string>{"b"});
  CHECK(ReadWholeFile(storage, folder / "b", 9).value() == "a");
  REQUIRE(storage.RemoveFile(folder / "b").ok());
  CHECK(storage.List(folder.path()).value().empty());
  CHECK(storage.FreeBytes(folder.path()).value() > 0);
}

TEST_CASE("folders are made level by level, and may be there", "[storage]") {
  Folder folder;
  const std::string deep = folder / "x/y//z/";
  REQUIRE(MakeFolders(folder.storage, deep).ok());
  REQUIRE(MakeFolders(folder.storage, deep).ok());
  CHECK(folder.storage.List(folder / "x/y").value() ==
        std::vector<std::string>{"z"});
  folder.Write("file", "");
  CHECK(!MakeFolders(folder.storage, folder / "file/z").ok());
}

TEST_CASE("a closed file takes nothing more", "[storage]") {
  Folder folder;
  auto file = folder.storage.CreateFile(folder / "a");
  REQUIRE(file.ok());
  REQUIRE((*file)->Close().ok());
  CHECK_THAT((*file)->Append("x"),
             IsError(absl::StatusCode::kFailedPrecondition, "/a", "closed"));
  CHECK_THAT((*file)->Sync(),
             IsError(absl::StatusCode::kFailedPrecondition, "/a", "closed"));
}

TEST_CASE("no room is RESOURCE_EXHAUSTED, and stays so", "[storage]") {
  Folder folder;
  auto file = folder.storage.CreateFile(folder / "a");
  REQUIRE(file.ok());
  // The limit on the size of files is the one that a test can set for itself;
  // past it the kernel also sends a signal.
  struct rlimit old_limit;
  REQUIRE(getrlimit(RLIMIT_FSIZE, &old_limit) == 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const struct rlimit limit = {100, old_limit.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  const absl::Status appended = (*file)->Append(std::string(1000, 'x'));
  REQUIRE(setrlimit(RLIMIT_FSIZE, &old_limit) == 0);
  std::signal(SIGXFSZ, old_handler);
  CHECK_THAT(appended, IsError(absl::StatusCode::kResourceExhausted,
                               "write file", folder / "a"));
  // There would be room now; but bytes are missing in the middle.
  CHECK((*file)->Append("y") == appended);
  CHECK((*file)->Sync() == appended);
  CHECK((*file)->Close() == appended);
}

}  // namespace
}  // namespace tessera
