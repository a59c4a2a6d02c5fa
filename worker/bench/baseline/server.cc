#include "worker/bench/baseline/server.h"

#include <grpcpp/grpcpp.h>

#include <climits>

#include "absl/strings/str_cat.h"
#include "baseline.grpc.pb.h"
#include "common/base/mutex.h"
#include "worker/bench/shard_sums.h"

namespace tessera::bench {
namespace {

// Longer than any step; a worker that died ends the run before.
constexpr absl::Duration kStepTimeout = absl::Seconds(60);

grpc::Status Refused(const absl::Status& why) {
  return grpc::Status(grpc::StatusCode::FAILED_PRECONDITION,
                      std::string(why.message()));
}

class Service final : public BaselineService::Service {
 public:
  Service(const ShardPlan& plan, const BaselineServerOptions& options)
      : workers_(options.workers),
        sums_(plan, options.shard, options.workers, options.unit) {}

  grpc::Status Push(grpc::ServerContext*, const PushRequest* request,
                    PushResponse*) override {
    MutexLock lock(&mutex_);
    return Add(*request);
  }

  grpc::Status Pull(grpc::ServerContext*, const PullRequest* request,
                    PullResponse* response) override {
    MutexLock lock(&mutex_);
    return Copy(request->block(), request->version(), *response);
  }

  grpc::Status PushPull(grpc::ServerContext*, const PushPullRequest* request,
                        PushPullResponse* response) override {
    MutexLock lock(&mutex_);
    grpc::Status status = Add(*request);
    if (!status.ok()) return status;
    return Copy(request->block(), request->step() + 1, *response);
  }

 private:
  template <typename Request>
  grpc::Status Add(const Request& request)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const int worker = request.worker();
    if (worker < 0 || worker >= workers_) {
      return Refused(absl::InvalidArgumentError("no such worker"));
    }
    const absl::Status status =
        sums_.CheckPush(worker, request.block(), request.step());
    if (!status.ok()) return Refused(status);
    const size_t count = sums_.values(request.block()).size();
    if (request.values().size() != count * sizeof(float)) {
      return Refused(absl::InvalidArgumentError("not a block's size"));
    }
    sums_.Add(worker, request.block(),
              reinterpret_cast<const float*>(request.values().data()), count);
    sums_.FinishPush(request.block());
    return grpc::Status::OK;
  }

  template <typename Response>
  grpc::Status Copy(int block, int64_t version, Response& response)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!sums_.Owns(block)) {
      return Refused(absl::OutOfRangeError("no block of this shard"));
    }
    const bool there =
        mutex_.AwaitFor([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(
                            mutex_) { return sums_.version(block) >= version; },
                        kStepTimeout);
    if (!there) {
      return grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED,
                          "the step is not complete");
    }
    const absl::Span<const float> values = sums_.values(block);
    response.set_values(values.data(), values.size() * sizeof(float));
    return grpc::Status::OK;
  }

  const int workers_;
  Mutex mutex_;
  ShardSums sums_ ABSL_GUARDED_BY(mutex_);
};

class GrpcBaselineServer : public BaselineServer {
 public:
  GrpcBaselineServer(const ShardPlan& plan,
                     const BaselineServerOptions& options)
      : service_(plan, options) {}

  absl::Status Listen() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port);
    // The only setting that is not the default, as larger blocks would not
    // arrive.
    builder.SetMaxReceiveMessageSize(INT_MAX);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || port == 0) {
      return absl::UnavailableError("the baseline's server cannot listen");
    }
    address_ = absl::StrCat("127.0.0.1:", port);
    return absl::OkStatus();
  }

  const std::string& address() const override { return address_; }

 private:
  Service service_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<BaselineServer>> BaselineServer::Start(
    const ShardPlan& plan, const BaselineServerOptions& options) {
  auto server = std::make_unique<GrpcBaselineServer>(plan, options);
  absl::Status status = server->Listen();
  if (!status.ok()) return status;
  return server;
}

}  // namespace tessera::bench
