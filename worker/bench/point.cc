#include "worker/bench/point.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace tessera::bench {

absl::string_view Name(Operation operation) {
  switch (operation) {
    case Operation::kPush:
      return "push";
    case Operation::kPull:
      return "pull";
    case Operation::kPushPull:
      return "push-pull";
    case Operation::kPushThenPull:
      return "push, pull";
  }
  return "?";
}

absl::string_view Name(Path path) {
  switch (path) {
    case Path::kTcp:
      return "tcp";
    case Path::kShared:
      return "shm";
    case Path::kSharedInPlace:
      return "shm in place";
    case Path::kRawTcp:
      return "raw tcp";
    case Path::kGrpcDefaults:
      return "grpc defaults";
  }
  return "?";
}

std::string Name(const Shape& shape) {
  return absl::StrCat(shape.workers, "x", shape.servers);
}

absl::string_view Name(v1::Encoding encoding) {
  return encoding == v1::ENCODING_BFLOAT16 ? "bfloat16" : "float32";
}

std::string FormatBytes(int64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (bytes >= int64_t{1} << 30) {
    return absl::StrFormat("%.4g GiB", value / (int64_t{1} << 30));
  }
  if (bytes >= 1 << 20) return absl::StrFormat("%.4g MiB", value / (1 << 20));
  if (bytes >= 1 << 10) return absl::StrFormat("%.4g KiB", value / (1 << 10));
  return absl::StrCat(bytes, " B");
}

bool IsProduct(Path path) {
  return path != Path::kRawTcp && path != Path::kGrpcDefaults;
}

int64_t PayloadBytes(Operation operation, int64_t message_bytes) {
  const bool both = operation == Operation::kPushPull ||
                    operation == Operation::kPushThenPull;
  return both ? 2 * message_bytes : message_bytes;
}

}  // namespace tessera::bench
