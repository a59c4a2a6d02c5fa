// What the benchmark's user asks for. Pure functions.

#ifndef TESSERA_WORKER_BENCH_OPTIONS_H_
#define TESSERA_WORKER_BENCH_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "worker/bench/point.h"

namespace tessera::bench {

struct BenchOptions {
  std::vector<int64_t> message_bytes;
  std::vector<Shape> shapes;
  std::vector<Operation> operations;
  std::vector<Path> paths;  // Tessera's; in the order in which they are shown.
  std::vector<v1::Encoding> encodings;
  int in_flight = 64;             // Blocks, at most.
  int64_t set_bytes = 16 << 20;   // All blocks together, at least.
  double duration_seconds = 0.1;  // Of one repetition.
  int repetitions = 5;
  bool raw = true;  // Measure the ceiling.
  bool baseline = false;
};

// Each reads a list with commas, or one of its items. Codes: INVALID_ARGUMENT
// with the item that cannot be, and what could.

// "4KiB", "1.5 MiB", "65536"; powers of 1024.
absl::StatusOr<int64_t> ParseBytes(absl::string_view text);
absl::StatusOr<std::vector<int64_t>> ParseByteList(absl::string_view text);
// Block sizes: multiples of 64 that a job may have.
absl::StatusOr<std::vector<int64_t>> ParseMessageSizes(absl::string_view text);
// "2x1": workers x servers.
absl::StatusOr<std::vector<Shape>> ParseShapes(absl::string_view text);
// "push", "pull", "push-pull".
absl::StatusOr<std::vector<Operation>> ParseOperations(absl::string_view text);
// "tcp", "shm": the second is measured copied out and read in place.
absl::StatusOr<std::vector<Path>> ParseTransports(absl::string_view text);
absl::StatusOr<std::vector<v1::Encoding>> ParseEncodings(
    absl::string_view text);
// Numbers from 1 to `max`.
absl::StatusOr<std::vector<int>> ParseCounts(absl::string_view text, int max);

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_OPTIONS_H_
