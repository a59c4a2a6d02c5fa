// The coordinator over the network.

#ifndef TESSERA_SERVER_SERVICE_GRPC_COORDINATOR_LINK_H_
#define TESSERA_SERVER_SERVICE_GRPC_COORDINATOR_LINK_H_

#include <grpcpp/completion_queue.h>

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/rpc/credentials.h"
#include "server/service/coordinator_link.h"
#include "tessera/v1/shard.grpc.pb.h"

namespace tessera {

// Every call has a deadline.
class GrpcCoordinatorLink : public CoordinatorLink {
 public:
  // Calls run on `queue`, which others run (RunCompletions) until after the
  // link is gone: whatever thread waits inside gRPC reads sockets there, so a
  // server had better have no more of them than it needs. Codes: those of
  // ClientCredentials.
  static absl::StatusOr<std::unique_ptr<GrpcCoordinatorLink>> Create(
      const std::string& address, const ChannelSecurity& security,
      grpc::CompletionQueue& queue);

  absl::StatusOr<v1::AttendResponse> Attend(
      const v1::AttendRequest& request) override;
  void Interrupt() override;

 private:
  struct Call;

  GrpcCoordinatorLink(std::string address,
                      std::unique_ptr<v1::ShardService::Stub> stub,
                      grpc::CompletionQueue& queue);
  absl::StatusOr<v1::AttendResponse> Result(const Call& call,
                                            bool interrupted) const;

  const std::string address_;
  const std::unique_ptr<v1::ShardService::Stub> stub_;
  grpc::CompletionQueue& queue_;

  Mutex mutex_;
  // Under way.
  std::shared_ptr<Call> call_ ABSL_GUARDED_BY(mutex_);
  bool interrupted_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SERVICE_GRPC_COORDINATOR_LINK_H_
