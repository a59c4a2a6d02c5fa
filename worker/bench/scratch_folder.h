// A private folder that goes with the object.

#ifndef TESSERA_WORKER_BENCH_SCRATCH_FOLDER_H_
#define TESSERA_WORKER_BENCH_SCRATCH_FOLDER_H_

#include <string>

#include "absl/status/statusor.h"

namespace tessera::bench {

// In $TMPDIR, or /tmp.
class ScratchFolder {
 public:
  // Codes: what errno maps to.
  static absl::StatusOr<ScratchFolder> Create();

  ScratchFolder(ScratchFolder&& other) noexcept;
  ~ScratchFolder() { Remove(); }

  const std::string& path() const { return path_; }

  // With all that is in it. Thread-safe, and harmless when it is gone.
  void Remove() const;

 private:
  explicit ScratchFolder(std::string path) : path_(std::move(path)) {}

  std::string path_;
};

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_SCRATCH_FOLDER_H_
