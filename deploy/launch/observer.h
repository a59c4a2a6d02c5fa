// Looks at a running job from outside, and fetches what it has trained.

#ifndef TESSERA_DEPLOY_LAUNCH_OBSERVER_H_
#define TESSERA_DEPLOY_LAUNCH_OBSERVER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/job/job.h"
#include "common/plan/shard_plan.h"
#include "common/rpc/credentials.h"
#include "tessera/v1/admin.pb.h"
#include "tessera/v1/coordinator.pb.h"

namespace tessera {

// Not thread-safe. Calls but PullAll make one attempt, which a server that has
// died fails at once, and one that hangs within seconds: whoever looks at the
// job also has to start such a server again.
class Observer {
 public:
  // `servers` in shard order. Codes: those of ClientCredentials.
  static absl::StatusOr<std::unique_ptr<Observer>> Create(
      std::vector<std::string> servers, const ChannelSecurity& security);
  virtual ~Observer() = default;

  // Codes: UNAVAILABLE, naming the server.
  virtual absl::StatusOr<v1::GetStatusResponse> Status() = 0;
  virtual absl::StatusOr<std::vector<v1::GetServerInfoResponse>>
  ServerInfos() = 0;
  virtual absl::Status StopJob(const std::string& reason) = 0;
  // Hands on at once what the worker with this label held.
  virtual void ReportDead(const std::string& label) = 0;

  // The whole flat vector at a version. Codes: those of ParameterClient.
  virtual absl::StatusOr<std::vector<float>> PullAll(const Job& job,
                                                     const ShardPlan& plan,
                                                     int64_t version) = 0;
};

}  // namespace tessera

#endif  // TESSERA_DEPLOY_LAUNCH_OBSERVER_H_
