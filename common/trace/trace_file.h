// Timelines as files: written piece by piece, and several put into one.

#ifndef TESSERA_COMMON_TRACE_TRACE_FILE_H_
#define TESSERA_COMMON_TRACE_TRACE_FILE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/file.h"
#include "common/trace/trace_json.h"

namespace tessera {

// What the first line says.
struct TraceHeader {
  std::vector<TraceProcess> processes;
  // Processes that should have left a timeline and did not, and why.
  std::vector<std::string> missing;
};

// A file under way; there is none until Finish. Not thread-safe. Codes of all
// calls: as AtomicFile's.
class TraceFile {
 public:
  static absl::StatusOr<std::unique_ptr<TraceFile>> Create(
      const std::string& path, const TraceHeader& header);

  // Writes `lines` (of TraceFormatter) out and clears it, once it pays.
  absl::Status AppendWhenLarge(std::string& lines);
  absl::Status Append(absl::string_view lines) { return file_->Append(lines); }

  // Writes the last lines and the end.
  absl::Status Finish(absl::string_view lines);

 private:
  explicit TraceFile(std::unique_ptr<AtomicFile> file)
      : file_(std::move(file)) {}

  const std::unique_ptr<AtomicFile> file_;
};

// One process's file.
struct TracePart {
  std::string process;  // For `missing`, when there is no file.
  std::string path;
};

// Puts the parts that exist into one file, in a bounded amount of memory.
// Codes: DATA_LOSS for a part that is not whole, or not of our making; as
// AtomicFile's.
absl::Status MergeTraces(const std::vector<TracePart>& parts,
                         const std::string& path);

}  // namespace tessera

#endif  // TESSERA_COMMON_TRACE_TRACE_FILE_H_
