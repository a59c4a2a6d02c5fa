// The admin service's calls as plain functions. Knows messages but no network.

#ifndef TESSERA_SERVER_SERVICE_ADMIN_HANDLER_H_
#define TESSERA_SERVER_SERVICE_ADMIN_HANDLER_H_

#include <string>

#include "absl/status/statusor.h"
#include "common/job/job.h"
#include "common/plan/shard_plan.h"
#include "server/service/coordinator_handler.h"
#include "server/service/parameter_handler.h"
#include "server/shard/shard_store.h"
#include "tessera/v1/admin.pb.h"

namespace tessera {

// What only shard 0's server does, asked of another one.
absl::Status NotTheCoordinator(int shard);

// Thread-safe.
class AdminHandler {
 public:
  // What a server consists of. `coordinator` is null on all but shard 0.
  struct Parts {
    const Job& job;
    const ShardPlan& plan;
    int shard = 0;
    std::string device_name;
    const ShardStore& store;
    const ParameterHandler& parameters;
    CoordinatorHandler* coordinator = nullptr;
  };

  // All that it refers to must outlive the handler.
  explicit AdminHandler(Parts parts) : parts_(std::move(parts)) {}

  v1::GetServerInfoResponse GetServerInfo() const;

  // Codes: FAILED_PRECONDITION on a server without the coordinator.
  absl::StatusOr<v1::StopJobResponse> StopJob();

 private:
  const Parts parts_;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SERVICE_ADMIN_HANDLER_H_
