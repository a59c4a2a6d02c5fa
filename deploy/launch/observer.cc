#include "deploy/launch/observer.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/rpc/transport.h"
#include "tessera/v1/admin.grpc.pb.h"
#include "worker/client/coordinator_client.h"
#include "worker/client/parameter_client.h"
#include "worker/client/pull_all.h"

namespace tessera {
namespace {

constexpr absl::Duration kAttemptTimeout = absl::Seconds(2);
// For a connection that has failed to come about, before an attempt.
constexpr absl::Duration kConnectTime = absl::Milliseconds(50);
constexpr absl::Duration kPullUnreachableAfter = absl::Seconds(5);

class GrpcObserver : public Observer {
 public:
  GrpcObserver(std::vector<std::string> servers,
               const ChannelSecurity& security,
               std::vector<std::shared_ptr<grpc::Channel>> channels)
      : servers_(std::move(servers)),
        security_(security),
        coordinator_(
            CoordinatorClient::Create({.server = servers_[0],
                                       .unreachable_after = kAttemptTimeout,
                                       .once = true,
                                       .security = security})),
        channels_(std::move(channels)) {}

  absl::StatusOr<v1::GetStatusResponse> Status() override {
    return coordinator_->GetStatus();
  }

  absl::StatusOr<std::vector<v1::GetServerInfoResponse>> ServerInfos()
      override {
    std::vector<v1::GetServerInfoResponse> infos;
    for (size_t shard = 0; shard < channels_.size(); ++shard) {
      AwaitConnection(*channels_[shard], absl::Now() + kConnectTime);
      grpc::ClientContext context;
      context.set_deadline(absl::ToChronoTime(absl::Now() + kAttemptTimeout));
      v1::GetServerInfoResponse info;
      const grpc::Status status = v1::AdminService::NewStub(channels_[shard])
                                      ->GetServerInfo(&context, {}, &info);
      if (!status.ok()) {
        return absl::UnavailableError(
            absl::StrCat("server ", shard, " (", servers_[shard],
                         ") does not answer: ", status.error_message()));
      }
      infos.push_back(std::move(info));
    }
    return infos;
  }

  absl::Status StopJob(const std::string& reason) override {
    v1::StopJobRequest request;
    request.set_reason(reason);
    return coordinator_->StopJob(request).status();
  }

  void ReportDead(const std::string& label) override {
    // If a call fails, the lease runs out by itself.
    const auto status = coordinator_->GetStatus();
    if (!status.ok()) return;
    for (const v1::WorkerStatus& worker : status->workers()) {
      if (worker.label() != label) continue;
      v1::LeaveRequest request;
      request.set_worker_id(worker.worker_id());
      (void)coordinator_->Leave(request);
    }
  }

  absl::StatusOr<std::vector<float>> PullAll(const Job& job,
                                             const ShardPlan& plan,
                                             int64_t version) override {
    TESSERA_ASSIGN_OR_RETURN(
        std::unique_ptr<ParameterClient> client,
        ParameterClient::Create(plan,
                                {.job_fingerprint = job.fingerprint(),
                                 .servers = servers_,
                                 .unreachable_after = kPullUnreachableAfter,
                                 .security = security_}));
    return tessera::PullAll(plan, version, *client);
  }

 private:
  const std::vector<std::string> servers_;
  const ChannelSecurity security_;
  const std::unique_ptr<CoordinatorClient> coordinator_;
  // Each to one server's AdminService.
  const std::vector<std::shared_ptr<grpc::Channel>> channels_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Observer>> Observer::Create(
    std::vector<std::string> servers, const ChannelSecurity& security) {
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (const std::string& server : servers) {
    // Nothing larger than the smallest limit on messages passes here.
    TESSERA_ASSIGN_OR_RETURN(
        std::shared_ptr<grpc::Channel> channel,
        Connect(server, security, {.connect_timeout = kAttemptTimeout}));
    channels.push_back(std::move(channel));
  }
  return std::make_unique<GrpcObserver>(std::move(servers), security,
                                        std::move(channels));
}

}  // namespace tessera
