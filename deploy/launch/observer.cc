#include "deploy/launch/observer.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "tessera/v1/admin.grpc.pb.h"
#include "worker/client/coordinator_client.h"
#include "worker/client/parameter_client.h"

namespace tessera {
namespace {

constexpr absl::Duration kUnreachableAfter = absl::Seconds(5);
constexpr std::chrono::seconds kInfoDeadline{5};

// Counts blocks down and keeps the first error.
class PullGate {
 public:
  explicit PullGate(int blocks) : left_(blocks) {}

  void Done(const absl::Status& status) {
    MutexLock lock(&mutex_);
    --left_;
    status_.Update(status);
  }

  absl::Status Await() {
    MutexLock lock(&mutex_);
    mutex_.Await(
        [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return left_ == 0; });
    return status_;
  }

 private:
  Mutex mutex_;
  int left_ ABSL_GUARDED_BY(mutex_);
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

class GrpcObserver : public Observer {
 public:
  GrpcObserver(std::vector<std::string> servers,
               const ChannelSecurity& security,
               std::vector<std::unique_ptr<v1::AdminService::Stub>> admins)
      : servers_(std::move(servers)),
        security_(security),
        coordinator_(
            CoordinatorClient::Create({.server = servers_[0],
                                       .unreachable_after = kUnreachableAfter,
                                       .security = security})),
        admins_(std::move(admins)) {}

  absl::StatusOr<v1::GetStatusResponse> Status() override {
    auto status = coordinator_->GetStatus();
    if (status.ok()) last_ = *status;
    return status;
  }

  absl::StatusOr<std::vector<v1::GetServerInfoResponse>> ServerInfos()
      override {
    std::vector<v1::GetServerInfoResponse> infos;
    for (size_t shard = 0; shard < admins_.size(); ++shard) {
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() + kInfoDeadline);
      v1::GetServerInfoResponse info;
      const grpc::Status status =
          admins_[shard]->GetServerInfo(&context, {}, &info);
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
    for (const v1::WorkerStatus& worker : last_.workers()) {
      if (worker.label() != label) continue;
      v1::LeaveRequest request;
      request.set_worker_id(worker.worker_id());
      // If this fails, the lease runs out by itself.
      (void)coordinator_->Leave(request);
    }
  }

  absl::StatusOr<std::vector<float>> PullAll(const Job& job,
                                             const ShardPlan& plan,
                                             int64_t version) override {
    // Outlives the client, whose callbacks use it.
    PullGate gate(plan.block_count());
    TESSERA_ASSIGN_OR_RETURN(
        std::unique_ptr<ParameterClient> client,
        ParameterClient::Create(plan, {.job_fingerprint = job.fingerprint(),
                                       .servers = servers_,
                                       .unreachable_after = kUnreachableAfter,
                                       .security = security_}));
    std::vector<float> values(static_cast<size_t>(plan.elements()));
    for (int block = 0; block < plan.block_count(); ++block) {
      const Interval elements = plan.BlockElements(block);
      client->Pull(
          block, version,
          absl::MakeSpan(values).subspan(static_cast<size_t>(elements.begin),
                                         static_cast<size_t>(elements.size())),
          [&gate](absl::Status status) { gate.Done(status); });
    }
    TESSERA_RETURN_IF_ERROR(gate.Await());
    return values;
  }

 private:
  const std::vector<std::string> servers_;
  const ChannelSecurity security_;
  const std::unique_ptr<CoordinatorClient> coordinator_;
  const std::vector<std::unique_ptr<v1::AdminService::Stub>> admins_;
  v1::GetStatusResponse last_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Observer>> Observer::Create(
    std::vector<std::string> servers, const ChannelSecurity& security) {
  std::vector<std::unique_ptr<v1::AdminService::Stub>> admins;
  for (const std::string& server : servers) {
    TESSERA_ASSIGN_OR_RETURN(
        std::shared_ptr<grpc::ChannelCredentials> credentials,
        ClientCredentials(security, server));
    admins.push_back(
        v1::AdminService::NewStub(grpc::CreateChannel(server, credentials)));
  }
  return std::make_unique<GrpcObserver>(std::move(servers), security,
                                        std::move(admins));
}

}  // namespace tessera
