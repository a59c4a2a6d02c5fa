#include "worker/bench/scratch_folder.h"

#include <cstdlib>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"

namespace tessera::bench {

absl::StatusOr<ScratchFolder> ScratchFolder::Create() {
  const char* base = std::getenv("TMPDIR");
  std::string path =
      absl::StrCat(base == nullptr ? "/tmp" : base, "/tessera_bench.XXXXXX");
  if (mkdtemp(path.data()) == nullptr) {
    return ErrnoStatus(absl::StrCat("cannot make the folder ", path));
  }
  return ScratchFolder(std::move(path));
}

ScratchFolder::ScratchFolder(ScratchFolder&& other) noexcept
    : path_(std::exchange(other.path_, "")) {}

void ScratchFolder::Remove() const {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

}  // namespace tessera::bench
