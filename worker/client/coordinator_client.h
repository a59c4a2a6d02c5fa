// A worker's calls to the coordinator. Every attempt at a call has a deadline:
// 10 seconds, or `unreachable_after` if that is less, beside what the call may
// wait for on purpose. UNAVAILABLE and DEADLINE_EXCEEDED are repeated, with
// growing pauses, for as long as the options allow.

#ifndef TESSERA_WORKER_CLIENT_COORDINATOR_CLIENT_H_
#define TESSERA_WORKER_CLIENT_COORDINATOR_CLIENT_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/credentials.h"
#include "tessera/v1/admin.pb.h"
#include "tessera/v1/coordinator.pb.h"

namespace tessera {

struct CoordinatorClientOptions {
  std::string server;  // Shard 0's address.
  absl::Duration unreachable_after = absl::Seconds(60);
  // One attempt at each call: for who must not be kept while a server is away.
  bool once = false;
  ChannelSecurity security;
  // See ParameterClientOptions.
  std::function<void(const std::string&)> on_outage;
};

// Thread-safe; every method blocks. Codes: those of CoordinatorService and
// AdminService; UNAVAILABLE, naming the server, once it was out of reach for
// `unreachable_after`; CANCELLED after Cancel.
class CoordinatorClient {
 public:
  static std::unique_ptr<CoordinatorClient> Create(
      CoordinatorClientOptions options);

  virtual ~CoordinatorClient() = default;

  virtual absl::StatusOr<v1::JoinResponse> Join(const v1::JoinRequest&) = 0;
  virtual absl::StatusOr<v1::GetWorkResponse> GetWork(
      const v1::GetWorkRequest&) = 0;
  virtual absl::StatusOr<v1::RenewResponse> Renew(const v1::RenewRequest&) = 0;
  virtual absl::StatusOr<v1::ReportEvaluationResponse> ReportEvaluation(
      const v1::ReportEvaluationRequest&) = 0;
  virtual absl::StatusOr<v1::LeaveResponse> Leave(const v1::LeaveRequest&) = 0;
  virtual absl::StatusOr<v1::GetStatusResponse> GetStatus() = 0;
  virtual absl::StatusOr<v1::StopJobResponse> StopJob(
      const v1::StopJobRequest&) = 0;

  // Another client over the same connection, which Cancel does not reach: for
  // calls whose maker may go before the others'.
  virtual std::unique_ptr<CoordinatorClient> Clone() const = 0;

  // Ends calls under way, and later ones, with CANCELLED.
  virtual void Cancel() = 0;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_CLIENT_COORDINATOR_CLIENT_H_
