// The baseline's server: protobuf over gRPC, synchronous, with the library's
// defaults.

#ifndef TESSERA_WORKER_BENCH_BASELINE_SERVER_H_
#define TESSERA_WORKER_BENCH_BASELINE_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/plan/shard_plan.h"

namespace tessera::bench {

struct BaselineServerOptions {
  int shard = 0;
  int workers = 1;
  float unit = 1;  // Learning rate / microbatches.
};

// A server on a loopback port. Serves on threads of its own as long as it
// lives.
class BaselineServer {
 public:
  // Codes: UNAVAILABLE when it cannot listen.
  static absl::StatusOr<std::unique_ptr<BaselineServer>> Start(
      const ShardPlan& plan, const BaselineServerOptions& options);

  virtual ~BaselineServer() = default;
  virtual const std::string& address() const = 0;
};

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_BASELINE_SERVER_H_
