#include "worker/client/coordinator_client.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/mutex.h"
#include "common/rpc/call_status.h"
#include "common/rpc/transport.h"
#include "tessera/v1/admin.grpc.pb.h"
#include "tessera/v1/coordinator.grpc.pb.h"
#include "worker/client/outage_report.h"
#include "worker/client/reachability.h"

namespace tessera {
namespace {

// For one attempt at a call, beside the time that it may wait on purpose.
constexpr absl::Duration kCallTimeout = absl::Seconds(10);
// Within which a call of a client for single attempts, or a Cancel during a
// pause, comes back.
constexpr absl::Duration kShortWait = absl::Milliseconds(50);

class GrpcCoordinatorClient : public CoordinatorClient {
 public:
  explicit GrpcCoordinatorClient(CoordinatorClientOptions options)
      : options_(std::move(options)) {
    auto channel =
        Connect(options_.server, options_.security,
                {.connect_timeout = std::clamp(
                     options_.unreachable_after, absl::Milliseconds(100),
                     TransportOptions().connect_timeout)});
    if (!channel.ok()) {
      unusable_ = channel.status();
      return;
    }
    channel_ = *std::move(channel);
    coordinator_ = v1::CoordinatorService::NewStub(channel_);
    admin_ = v1::AdminService::NewStub(channel_);
  }

  absl::StatusOr<v1::JoinResponse> Join(const v1::JoinRequest& r) override {
    return Call<v1::JoinResponse>([&](auto* context, auto* response) {
      return coordinator_->Join(context, r, response);
    });
  }

  absl::StatusOr<v1::GetWorkResponse> GetWork(
      const v1::GetWorkRequest& r) override {
    return Call<v1::GetWorkResponse>(
        [&](auto* context, auto* response) {
          return coordinator_->GetWork(context, r, response);
        },
        absl::Milliseconds(r.wait_ms()));
  }

  absl::StatusOr<v1::RenewResponse> Renew(const v1::RenewRequest& r) override {
    return Call<v1::RenewResponse>([&](auto* context, auto* response) {
      return coordinator_->Renew(context, r, response);
    });
  }

  absl::StatusOr<v1::ReportEvaluationResponse> ReportEvaluation(
      const v1::ReportEvaluationRequest& r) override {
    return Call<v1::ReportEvaluationResponse>(
        [&](auto* context, auto* response) {
          return coordinator_->ReportEvaluation(context, r, response);
        });
  }

  absl::StatusOr<v1::LeaveResponse> Leave(const v1::LeaveRequest& r) override {
    return Call<v1::LeaveResponse>([&](auto* context, auto* response) {
      return coordinator_->Leave(context, r, response);
    });
  }

  absl::StatusOr<v1::GetStatusResponse> GetStatus() override {
    return Call<v1::GetStatusResponse>([&](auto* context, auto* response) {
      return coordinator_->GetStatus(context, {}, response);
    });
  }

  absl::StatusOr<v1::StopJobResponse> StopJob(
      const v1::StopJobRequest& r) override {
    return Call<v1::StopJobResponse>([&](auto* context, auto* response) {
      return admin_->StopJob(context, r, response);
    });
  }

  std::unique_ptr<CoordinatorClient> Clone() const override {
    return absl::WrapUnique(new GrpcCoordinatorClient(*this));
  }

  void Cancel() override {
    MutexLock lock(&mutex_);
    cancelled_ = true;
    for (grpc::ClientContext* context : contexts_) context->TryCancel();
  }

 private:
  GrpcCoordinatorClient(const GrpcCoordinatorClient& other)
      : options_(other.options_),
        unusable_(other.unusable_),
        channel_(other.channel_),
        coordinator_(other.coordinator_),
        admin_(other.admin_) {}

  // Makes one attempt after another. `wait` is how long the server may take on
  // purpose.
  template <typename Response, typename Method>
  absl::StatusOr<Response> Call(Method method,
                                absl::Duration wait = absl::ZeroDuration()) {
    if (!unusable_.ok()) return unusable_;
    if (options_.once) AwaitConnection(*channel_, absl::Now() + kShortWait);
    Reachability reachability(options_.unreachable_after);
    const absl::Duration timeout =
        wait + std::min(kCallTimeout, options_.unreachable_after);
    while (true) {
      const absl::Time start = absl::Now();
      Response response;
      const absl::Status status = Attempt(
          [&](grpc::ClientContext* context) {
            return FromGrpcStatus(method(context, &response));
          },
          start + timeout);
      if (status.ok()) return response;
      if (!IsTransportFailure(status)) return status;
      if (options_.once) return DidNotAnswer(status);
      const std::optional<absl::Time> next =
          reachability.OnFailure(start, absl::Now());
      if (!next) return OutOfReach(status);
      if (const auto out_for = reachability.TakeReport();
          out_for && options_.on_outage) {
        options_.on_outage(OutageReport(
            absl::StrCat("server ", options_.server, " (the coordinator's)"),
            *out_for, options_.unreachable_after, status));
      }
      if (PauseUntil(*next)) return WasCancelled();
    }
  }

  // One call, which Cancel can end.
  template <typename Method>
  absl::Status Attempt(Method method, absl::Time deadline) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(deadline));
    {
      MutexLock lock(&mutex_);
      if (cancelled_) return WasCancelled();
      contexts_.insert(&context);
    }
    const absl::Status status = method(&context);
    MutexLock lock(&mutex_);
    contexts_.erase(&context);
    return status;
  }

  // Whether the pause was cut short by Cancel.
  bool PauseUntil(absl::Time time) {
    for (absl::Time now = absl::Now(); now < time; now = absl::Now()) {
      const absl::Time soon = std::min(time, now + kShortWait);
      if (AwaitConnection(*channel_, soon)) break;
      MutexLock lock(&mutex_);
      if (cancelled_) return true;
    }
    MutexLock lock(&mutex_);
    const auto cancelled = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return cancelled_;
    };
    return mutex_.AwaitUntil(cancelled, time);
  }

  static absl::Status WasCancelled() {
    return absl::CancelledError("calls to the coordinator were cancelled");
  }

  absl::Status DidNotAnswer(const absl::Status& why) const {
    return absl::UnavailableError(
        absl::StrCat("server ", options_.server,
                     " (the coordinator's) does not answer: ", why.message()));
  }

  absl::Status OutOfReach(const absl::Status& why) const {
    return absl::UnavailableError(absl::StrCat(
        "server ", options_.server,
        " (the coordinator's) has been out of "
        "reach for ",
        absl::FormatDuration(options_.unreachable_after), ": ", why.message()));
  }

  const CoordinatorClientOptions options_;
  absl::Status unusable_;
  // Shared with clones; thread-safe.
  std::shared_ptr<grpc::Channel> channel_;
  std::shared_ptr<v1::CoordinatorService::Stub> coordinator_;
  std::shared_ptr<v1::AdminService::Stub> admin_;

  Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<grpc::ClientContext*> contexts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<CoordinatorClient> CoordinatorClient::Create(
    CoordinatorClientOptions options) {
  return std::make_unique<GrpcCoordinatorClient>(std::move(options));
}

}  // namespace tessera
