// What a process of this machine uses, by its id.

#ifndef TESSERA_WORKER_BENCH_PROCESS_USAGE_H_
#define TESSERA_WORKER_BENCH_PROCESS_USAGE_H_

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tessera::bench {

// User and system time of all its threads, ended ones too. Codes: NOT_FOUND.
absl::StatusOr<double> CpuSeconds(pid_t pid);

struct ResidentBytes {
  int64_t now = 0;
  int64_t peak = 0;  // So far.
};

// Memory that the process has in RAM, from /proc/PID/status. Codes: as
// ReadFile.
absl::StatusOr<ResidentBytes> ResidentOf(pid_t pid);

// Of a file with lines "Name:  123 kB", as /proc has, in bytes; INTERNAL when
// there is no such line.
absl::StatusOr<int64_t> BytesIn(absl::string_view text, absl::string_view name);

// Memory that this machine could give to programs right now.
absl::StatusOr<int64_t> AvailableBytes();

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_PROCESS_USAGE_H_
