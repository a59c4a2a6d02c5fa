// A program's --trace_out.

#ifndef TESSERA_COMMON_TRACE_TRACE_OUTPUT_H_
#define TESSERA_COMMON_TRACE_TRACE_OUTPUT_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/trace/trace.h"

namespace tessera {

// Where processes stand in a timeline: servers (and their shards) first.
inline constexpr int kSortLauncher = 0;
inline constexpr int kSortServers = 1;
inline constexpr int kSortWorkers = 1'000'000;

// Whether a file can be made at `path`: better told now than after hours of
// work. OK when it is empty. Codes: NOT_FOUND or PERMISSION_DENIED, naming the
// folder.
absl::Status CheckTracePlace(const std::string& path);

// A tracer whose events are to end in `path`; null when that is empty. Codes:
// as CheckTracePlace.
absl::StatusOr<std::unique_ptr<Tracer>> StartTrace(const std::string& path,
                                                   TracerOptions options);

// Writes the file, unless `tracer` is null. Codes: as Tracer::Write.
absl::Status FinishTrace(const Tracer* tracer, const std::string& path);

}  // namespace tessera

#endif  // TESSERA_COMMON_TRACE_TRACE_OUTPUT_H_
