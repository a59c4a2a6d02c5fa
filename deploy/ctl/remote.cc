#include "deploy/ctl/remote.h"

#include <grpcpp/grpcpp.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/rpc/call_status.h"
#include "common/rpc/transport.h"
#include "tessera/v1/admin.grpc.pb.h"
#include "tessera/v1/coordinator.grpc.pb.h"

namespace tessera {
namespace {

std::string PhaseName(v1::Phase phase) {
  switch (phase) {
    case v1::PHASE_TRAINING:
      return "training";
    case v1::PHASE_EVALUATING:
      return "evaluating";
    case v1::PHASE_RECOVERING:
      return "waiting for its servers";
    case v1::PHASE_ENDED:
      return "ended";
    default:
      return "unknown";
  }
}

std::string Seconds(int64_t ms) {
  return absl::StrFormat("%.1f s", static_cast<double>(ms) / 1000);
}

void AddCheckpoint(const v1::CheckpointStatus& checkpoint, std::string& text) {
  if (!checkpoint.enabled()) {
    absl::StrAppend(&text, "checkpoints  none: the servers have no folder\n");
    return;
  }
  absl::StrAppend(&text, "checkpoint   ",
                  checkpoint.newest_version() < 0
                      ? "none yet"
                      : absl::StrCat("version ", checkpoint.newest_version(),
                                     ", ", checkpoint.newest_folder()),
                  "; ", checkpoint.written(), " written, ", checkpoint.failed(),
                  " failed\n");
  if (checkpoint.pending_version() >= 0) {
    absl::StrAppend(&text, "             version ",
                    checkpoint.pending_version(), " under way");
    for (const std::string& who : checkpoint.pending_on()) {
      absl::StrAppend(&text, ", ", who);
    }
    absl::StrAppend(&text, "\n");
  }
  if (!checkpoint.last_failure().empty()) {
    absl::StrAppend(
        &text, "             last failure: ", checkpoint.last_failure(), "\n");
  }
}

template <typename Method>
absl::Status Call(const RemoteOptions& options, Method method) {
  TESSERA_ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel,
                           Connect(options.server, options.security,
                                   {.connect_timeout = options.timeout}));
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  context.set_deadline(absl::ToChronoTime(absl::Now() + options.timeout));
  const absl::Status status = FromGrpcStatus(method(channel, context));
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat("server ", options.server,
                                                  ": ", status.message()));
}

}  // namespace

std::string DescribeStatus(const v1::GetStatusResponse& status) {
  std::string text =
      absl::StrCat("job          ", status.job_name(), ", fingerprint ",
                   absl::Hex(status.job_fingerprint(), absl::kZeroPad16), "\n",
                   "phase        ", PhaseName(status.phase()));
  if (status.phase() == v1::PHASE_ENDED) {
    absl::StrAppend(&text, ": ", v1::EndReason_Name(status.end_reason()));
  }
  absl::StrAppend(&text, "\nsteps        ", status.steps_done(), " of ",
                  status.steps_total(), " at most, ", status.steps_per_epoch(),
                  " an epoch\n");
  AddCheckpoint(status.checkpoint(), text);
  for (const v1::ShardStatus& shard : status.shards()) {
    absl::StrAppend(
        &text, "shard ", shard.shard(), "      ",
        shard.incarnation() == 0
            ? "never heard of"
            : absl::StrCat(shard.address(), ", heard of ",
                           Seconds(shard.silent_ms()), " ago, ",
                           shard.incarnations(), " process(es) so far"),
        shard.generation() == status.generation() ? "" : ", not serving", "\n");
  }
  for (const v1::WorkerStatus& worker : status.workers()) {
    absl::StrAppendFormat(
        &text, "worker %d  %s, %.1f microbatches/s, %d done%s%s\n",
        worker.worker_id(), worker.label(), worker.microbatches_per_second(),
        worker.microbatches_done(), worker.holds().empty() ? "" : ", has ",
        worker.holds());
  }
  for (const v1::Waiting& waiting : status.waiting()) {
    absl::StrAppend(&text, "waiting      ", waiting.label(),
                    waiting.label().empty() ? "" : ": ", waiting.work(),
                    ", for ", Seconds(waiting.waiting_ms()), "\n");
  }
  return text;
}

absl::StatusOr<Report> RemoteStatus(const RemoteOptions& options) {
  v1::GetStatusResponse status;
  TESSERA_RETURN_IF_ERROR(
      Call(options, [&](const auto& channel, grpc::ClientContext& context) {
        return v1::CoordinatorService::NewStub(channel)->GetStatus(&context, {},
                                                                   &status);
      }));
  return Report{.text = DescribeStatus(status)};
}

absl::StatusOr<Report> RemoteCheckpoint(const RemoteOptions& options) {
  v1::WriteCheckpointResponse written;
  const absl::Status status =
      Call(options, [&](const auto& channel, grpc::ClientContext& context) {
        return v1::AdminService::NewStub(channel)->WriteCheckpoint(&context, {},
                                                                   &written);
      });
  if (absl::IsAborted(status)) {
    return Report{.text = absl::StrCat("No checkpoint: ", status.message(),
                                       "\nTraining goes on.\n"),
                  .is_good = false};
  }
  TESSERA_RETURN_IF_ERROR(status);
  return Report{.text = absl::StrCat("version ", written.version(), ", ",
                                     written.bytes(),
                                     " bytes: ", written.folder(), "\n")};
}

}  // namespace tessera
