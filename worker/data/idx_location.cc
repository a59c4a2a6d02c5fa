#include "worker/data/idx_location.h"

#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

// Where Debian's package dataset-fashion-mnist puts its files.
constexpr char kFashionMnist[] = "/usr/share/datasets/fashion-mnist";

std::string HowToProvide(const fs::path& directory) {
  if (directory.lexically_normal() == kFashionMnist ||
      directory.lexically_normal() == absl::StrCat(kFashionMnist, "/")) {
    return "it is in Debian's package dataset-fashion-mnist: "
           "`apt-get install dataset-fashion-mnist`";
  }
  return "set data_set.idx in the job, or the worker's --data_dir, to where it "
         "is";
}

// `name` as the job gives it, or MNIST's in its two forms.
std::vector<std::string> Candidates(const std::string& name,
                                    absl::string_view usual_name) {
  if (!name.empty()) return {name};
  return {std::string(usual_name), absl::StrCat(usual_name, ".gz")};
}

absl::StatusOr<std::string> Locate(const fs::path& directory,
                                   const std::string& name,
                                   absl::string_view usual_name) {
  std::vector<std::string> tried;
  for (const std::string& candidate : Candidates(name, usual_name)) {
    // An absolute name replaces the directory.
    const fs::path path = directory / candidate;
    std::error_code error;
    const fs::file_type type = fs::status(path, error).type();
    // Anything but absence is for the reader to report.
    if (type != fs::file_type::not_found) return path.string();
    tried.push_back(path.string());
  }
  return absl::NotFoundError(absl::StrCat("no file ",
                                          absl::StrJoin(tried, ", nor "), ": ",
                                          HowToProvide(directory)));
}

}  // namespace

absl::StatusOr<IdxPaths> LocateIdxFiles(const v1::IdxFiles& files, Split split,
                                        const std::string& data_dir) {
  const fs::path directory = data_dir.empty() ? files.directory() : data_dir;
  const bool train = split == Split::kTrain;
  IdxPaths paths;
  TESSERA_ASSIGN_OR_RETURN(
      paths.images,
      Locate(directory, train ? files.train_images() : files.test_images(),
             train ? "train-images-idx3-ubyte" : "t10k-images-idx3-ubyte"));
  TESSERA_ASSIGN_OR_RETURN(
      paths.labels,
      Locate(directory, train ? files.train_labels() : files.test_labels(),
             train ? "train-labels-idx1-ubyte" : "t10k-labels-idx1-ubyte"));
  return paths;
}

}  // namespace tessera
