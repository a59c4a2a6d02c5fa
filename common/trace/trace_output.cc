#include "common/trace/trace_output.h"

#include <unistd.h>

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace tessera {

absl::Status CheckTracePlace(const std::string& path) {
  if (path.empty()) return absl::OkStatus();
  const std::string parent = std::filesystem::path(path).parent_path();
  const std::string folder = parent.empty() ? std::string(".") : parent;
  if (access(folder.c_str(), W_OK | X_OK) != 0) {
    return ErrnoStatus(absl::StrCat("--trace_out=", path,
                                    ": no file can be made in ", folder));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Tracer>> StartTrace(const std::string& path,
                                                   TracerOptions options) {
  if (path.empty()) return nullptr;
  TESSERA_RETURN_IF_ERROR(CheckTracePlace(path));
  return std::make_unique<Tracer>(std::move(options));
}

absl::Status FinishTrace(const Tracer* tracer, const std::string& path) {
  return tracer == nullptr ? absl::OkStatus() : tracer->Write(path);
}

}  // namespace tessera
