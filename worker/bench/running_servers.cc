#include "worker/bench/running_servers.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/base/status_macros.h"
#include "common/job/job.h"
#include "common/plan/shard_plan.h"
#include "worker/bench/bench_job.h"
#include "worker/bench/server_info.h"
#include "worker/client/coordinator_client.h"

namespace tessera::bench {
namespace {

constexpr absl::Duration kUnreachableAfter = absl::Seconds(5);

// The coordinator tells it to whoever joins; the membership is given back.
absl::StatusOr<v1::JoinResponse> AskForJob(const std::string& coordinator,
                                           const ChannelSecurity& security) {
  const auto client =
      CoordinatorClient::Create({.server = coordinator,
                                 .unreachable_after = kUnreachableAfter,
                                 .security = security});
  v1::JoinRequest join;
  join.set_label("tessera_bench");
  TESSERA_ASSIGN_OR_RETURN(v1::JoinResponse joined, client->Join(join));
  v1::LeaveRequest leave;
  leave.set_worker_id(joined.worker_id());
  TESSERA_RETURN_IF_ERROR(client->Leave(leave).status());
  return joined;
}

// The version of all blocks on all servers.
absl::StatusOr<int64_t> AskForVersion(const RunningServers& servers) {
  TESSERA_ASSIGN_OR_RETURN(const auto infos,
                           GetServerInfos(servers.addresses, servers.security));
  for (size_t shard = 0; shard < infos.size(); ++shard) {
    const v1::GetServerInfoResponse& info = infos[shard];
    if (info.shard() != static_cast<int>(shard) ||
        info.job_fingerprint() != servers.job_fingerprint) {
      return absl::FailedPreconditionError(absl::StrCat(
          "server ", servers.addresses[shard], " holds shard ", info.shard(),
          " of a job: list all of one job's servers in shard order"));
    }
    if (info.version_min() != infos[0].version_min() ||
        info.version_max() != infos[0].version_min()) {
      return absl::FailedPreconditionError(
          "the servers are in the middle of a step: is somebody training?");
    }
  }
  return infos[0].version_min();
}

}  // namespace

absl::StatusOr<RunningServers> AskServers(std::vector<std::string> addresses,
                                          const ChannelSecurity& security,
                                          int workers, bool force) {
  TESSERA_ASSIGN_OR_RETURN(const v1::JoinResponse joined,
                           AskForJob(addresses[0], security));
  TESSERA_ASSIGN_OR_RETURN(const Job job, Job::Create(joined.job()));
  if (job.proto().name() != kJobName && !force) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the servers run the job \"", job.proto().name(), "\", not \"",
        kJobName,
        "\": measuring would overwrite its parameters (--force does "
        "it all the same)"));
  }
  TESSERA_RETURN_IF_ERROR(CheckClosedForm(job, workers));
  if (joined.shard_count() != static_cast<int>(addresses.size())) {
    return absl::FailedPreconditionError(
        absl::StrCat("the job has ", joined.shard_count(),
                     " servers: list all of them, in shard order"));
  }
  TESSERA_ASSIGN_OR_RETURN(
      const ShardPlan plan,
      ShardPlan::Create(job.layout().total_elements(), joined.shard_count(),
                        job.block_bytes()));
  RunningServers servers{.addresses = std::move(addresses),
                         .security = security,
                         .job_fingerprint = joined.job_fingerprint(),
                         .learning_rate = job.proto().learning_rate().base(),
                         .setting = {.message_bytes = job.block_bytes(),
                                     .blocks = plan.block_count(),
                                     .shape = {.workers = workers,
                                               .servers = joined.shard_count()},
                                     .encoding = job.push_encoding()}};
  if (servers.setting.elements() != plan.elements()) {
    return absl::FailedPreconditionError(
        "the job's last block is shorter than the others: choose block_bytes "
        "that divide the parameters");
  }
  TESSERA_ASSIGN_OR_RETURN(servers.version, AskForVersion(servers));
  return servers;
}

}  // namespace tessera::bench
