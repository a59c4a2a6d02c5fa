#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/sha256.h"
#include "common/base/status_macros.h"
#include "common/base/strong_id.h"
#include "tests/support/status.h"

namespace tessera {
namespace {

std::string NewFolder() {
  std::string path = absl::StrCat(std::getenv("TEST_TMPDIR"), "/base.XXXXXX");
  REQUIRE(mkdtemp(path.data()) != nullptr);
  return path;
}

TEST_CASE("SHA-256 gives the standard's answers") {
  // FIPS 180-2, appendix B.
  REQUIRE(HexDigest(Sha256Digest("abc")) ==
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Sha256 pieces;
  pieces.Update("a", 1);
  pieces.Update("bc", 2);
  REQUIRE(pieces.Finish() == Sha256Digest("abc"));
}

TEST_CASE("a file that comes in pieces is there once it is committed") {
  const std::string folder = NewFolder();
  const std::string path = folder + "/file";
  const auto entries = [&] {
    return std::distance(std::filesystem::directory_iterator(folder), {});
  };
  REQUIRE_OK(WriteFileAtomically(path, "old"));
  {
    const auto given_up = AtomicFile::Create(path);
    REQUIRE_OK(given_up);
    REQUIRE_OK((*given_up)->Append("half"));
  }
  REQUIRE(*ReadFile(path) == "old");
  REQUIRE(entries() == 1);
  const auto file = AtomicFile::Create(path);
  REQUIRE_OK(file);
  REQUIRE_OK((*file)->Append("one "));
  REQUIRE_OK((*file)->Append("two"));
  REQUIRE(*ReadFile(path) == "old");
  REQUIRE_OK((*file)->Commit());
  REQUIRE(*ReadFile(path) == "one two");
  REQUIRE(entries() == 1);
}

TEST_CASE("a file is written whole and read back") {
  const std::string path = NewFolder() + "/file";
  const std::string contents(100000, 'x');
  REQUIRE_OK(WriteFileAtomically(path, "old"));
  REQUIRE_OK(WriteFileAtomically(path, contents));
  const auto read = ReadFile(path);
  REQUIRE_OK(read);
  REQUIRE(*read == contents);
}

TEST_CASE("a write that fails says where, and leaves nothing behind") {
  const std::string folder = NewFolder();
  REQUIRE_ERROR(WriteFileAtomically(folder + "/no/file", "x"),
                absl::StatusCode::kNotFound, "/no/file");
  // A folder in the way of the rename.
  REQUIRE(mkdir((folder + "/taken").c_str(), 0755) == 0);
  REQUIRE_FALSE(WriteFileAtomically(folder + "/taken", "x").ok());
  int entries = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    (void)entry;
    ++entries;
  }
  REQUIRE(entries == 1);
}

TEST_CASE("a full disk is reported and the old file stays") {
  // /dev/full fails every write with ENOSPC.
  REQUIRE_ERROR(ReadFile("/nonexistent/file"), absl::StatusCode::kNotFound,
                "/nonexistent/file");
  const std::string path = NewFolder() + "/file";
  REQUIRE_OK(WriteFileAtomically(path, "old"));
  const std::string temporary = absl::StrCat(path, ".tmp", getpid());
  REQUIRE(symlink("/dev/full", temporary.c_str()) == 0);
  REQUIRE_ERROR(WriteFileAtomically(path, "new"),
                absl::StatusCode::kResourceExhausted, path);
  const auto read = ReadFile(path);
  REQUIRE_OK(read);
  REQUIRE(*read == "old");
}

absl::StatusOr<int> Half(int n) {
  if (n % 2 != 0) return absl::InvalidArgumentError("odd");
  return n / 2;
}

absl::StatusOr<int> Quarter(int n) {
  TESSERA_ASSIGN_OR_RETURN(const int half, Half(n));
  TESSERA_ASSIGN_OR_RETURN(const int quarter, Half(half));
  return quarter;
}

TEST_CASE("errors return early") {
  REQUIRE(*Quarter(8) == 2);
  REQUIRE_ERROR(Quarter(6), absl::StatusCode::kInvalidArgument, "odd");
}

TEST_CASE("ids are ordered, and none is none") {
  REQUIRE(WorkerId().is_none());
  REQUIRE(WorkerId(1) < WorkerId(2));
  REQUIRE(WorkerId(3).value() == 3);
}

}  // namespace
}  // namespace tessera
