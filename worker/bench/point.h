// What the benchmark measures: words that all its parts share.

#ifndef TESSERA_WORKER_BENCH_POINT_H_
#define TESSERA_WORKER_BENCH_POINT_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "tessera/v1/encoding.pb.h"

namespace tessera::bench {

enum class Operation {
  kPush,          // Gradient up, acknowledged.
  kPull,          // Values down.
  kPushPull,      // Both in one round trip.
  kPushThenPull,  // Both in two round trips, one after the other.
};

// How bytes travel.
enum class Path {
  kTcp,            // Tessera over TCP.
  kShared,         // Tessera, payload in shared memory, values copied out.
  kSharedInPlace,  // The same, values read where they lie.
  kRawTcp,         // The ceiling: plain sockets (raw_tcp/).
  kGrpcDefaults,   // The baseline: protobuf over gRPC as it comes (baseline/).
};

struct Shape {
  int workers = 1;
  int servers = 1;
  friend auto operator<=>(const Shape&, const Shape&) = default;
};

// What one set of processes is started for.
struct Setting {
  int64_t message_bytes = 0;  // Of a block, as float32.
  int blocks = 0;             // In the whole vector, over all servers.
  Shape shape;
  v1::Encoding encoding = v1::ENCODING_FLOAT32;  // In both directions.

  int64_t elements() const {
    return message_bytes / static_cast<int64_t>(sizeof(float)) * blocks;
  }
  int64_t total_bytes() const { return message_bytes * blocks; }
  friend auto operator<=>(const Setting&, const Setting&) = default;
};

// One line of the result: an operation by one path.
struct Series {
  Operation operation = Operation::kPushPull;
  Path path = Path::kTcp;
  friend auto operator<=>(const Series&, const Series&) = default;
};

// "push-pull", "tcp", "2x1" (workers x servers), "float32".
absl::string_view Name(Operation operation);
absl::string_view Name(Path path);
std::string Name(const Shape& shape);
absl::string_view Name(v1::Encoding encoding);

// "4 KiB", "1.5 MiB", "100 B".
std::string FormatBytes(int64_t bytes);

// Whether it is Tessera itself that is measured.
bool IsProduct(Path path);

// Payload bytes, as float32, that one call on one block moves.
int64_t PayloadBytes(Operation operation, int64_t message_bytes);

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_POINT_H_
