#include "worker/bench/server_info.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/rpc/transport.h"
#include "tessera/v1/admin.grpc.pb.h"

namespace tessera::bench {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(5);

}  // namespace

absl::StatusOr<std::vector<v1::GetServerInfoResponse>> GetServerInfos(
    const std::vector<std::string>& servers, const ChannelSecurity& security) {
  std::vector<v1::GetServerInfoResponse> infos;
  for (const std::string& server : servers) {
    TESSERA_ASSIGN_OR_RETURN(const auto channel,
                             tessera::Connect(server, security, {}));
    const auto stub = v1::AdminService::NewStub(channel);
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + kTimeout));
    v1::GetServerInfoResponse info;
    const grpc::Status status = stub->GetServerInfo(&context, {}, &info);
    if (!status.ok()) {
      return absl::UnavailableError(absl::StrCat(
          "server ", server, " does not answer: ", status.error_message()));
    }
    infos.push_back(std::move(info));
  }
  return infos;
}

}  // namespace tessera::bench
