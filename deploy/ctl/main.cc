// tessera_ctl: looks after checkpoints and running jobs. See --help.

#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/exit_status.h"
#include "common/base/program.h"
#include "common/base/status_macros.h"
#include "common/job/job.h"
#include "common/rpc/security_flags.h"
#include "common/storage/posix_storage.h"
#include "deploy/ctl/commands.h"
#include "deploy/ctl/remote.h"

ABSL_FLAG(std::string, job, "",
          "import: the job file that the weights are for, resolved "
          "(tessera_launch --resolve_only).");

ABSL_FLAG(double, timeout_seconds, 30,
          "status, checkpoint: how long the server may take.");

namespace tessera {
namespace {

constexpr char kUsage[] =
    R"(Looks after Tessera's checkpoints, and jobs that run.

  tessera_ctl status HOST:PORT
      Where the job stands and whom it waits for. The address is shard 0's.
  tessera_ctl checkpoint HOST:PORT
      Makes a checkpoint now, and waits until it is complete.
  tessera_ctl verify DIR
      Reads and checks every byte of every checkpoint in DIR.
  tessera_ctl export DIR OUT.safetensors
      Writes the parameters under their tensors' names.
  tessera_ctl import IN.safetensors DIR --job=resolved.textproto
      Makes DIR a checkpoint of version 0 that holds these weights.
  tessera_ctl diff A B
      Compares checkpoints or .safetensors files tensor by tensor, optimizer
      state too where both are checkpoints.

DIR (and A and B) is a folder of checkpoints, of which the newest complete one
is taken, or one checkpoint's own folder (checkpoint-VERSION-ID).

Exit status: 0 good, done, or equal to the bit; 1 damaged, not equal, or no
checkpoint; 2 bad arguments or files, or no server, so that there is no answer.)";

absl::StatusOr<Job> LoadResolvedJob() {
  const std::string path = absl::GetFlag(FLAGS_job);
  if (path.empty()) {
    return absl::InvalidArgumentError("import needs --job; see --help");
  }
  TESSERA_ASSIGN_OR_RETURN(v1::Job proto, LoadJobFile(path));
  const auto facts = FactsOfGeneratedData(proto);
  if (facts.ok()) TESSERA_RETURN_IF_ERROR(ResolveDataSet(*facts, proto));
  auto job = Job::Create(std::move(proto));
  if (absl::IsFailedPrecondition(job.status())) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is not resolved: ", job.status().message(),
                     "; write it with tessera_launch --resolve_only"));
  }
  return job;
}

CheckpointSetId RandomSetId() {
  std::random_device random;
  const uint64_t id = (uint64_t{random()} << 32) | random();
  return CheckpointSetId(id == 0 ? 1 : id);
}

absl::StatusOr<Report> RunImport(Storage& storage, const std::string& from,
                                 const std::string& to) {
  TESSERA_ASSIGN_OR_RETURN(Job job, LoadResolvedJob());
  return Import(storage, from, to,
                {.job = std::move(job),
                 .set_id = RandomSetId(),
                 .now_unix_ms = absl::ToUnixMillis(absl::Now())});
}

RemoteOptions RemoteTo(const std::string& server) {
  return {.server = server,
          .security = SecurityFromFlags(),
          .timeout = absl::Seconds(absl::GetFlag(FLAGS_timeout_seconds))};
}

absl::StatusOr<Report> Run(const std::vector<std::string>& arguments) {
  PosixStorage storage;
  const std::string command = arguments.empty() ? "" : arguments[0];
  const auto is = [&](const char* name, size_t count) {
    return command == name && arguments.size() == count + 1;
  };
  if (is("status", 1)) return RemoteStatus(RemoteTo(arguments[1]));
  if (is("checkpoint", 1)) return RemoteCheckpoint(RemoteTo(arguments[1]));
  if (is("verify", 1)) return Verify(storage, arguments[1]);
  if (is("export", 2)) return Export(storage, arguments[1], arguments[2]);
  if (is("import", 2)) return RunImport(storage, arguments[1], arguments[2]);
  if (is("diff", 2)) return Diff(storage, arguments[1], arguments[2]);
  return absl::InvalidArgumentError(
      command.empty()
          ? "say what to do: status, checkpoint, verify, export, import or "
            "diff; see --help"
          : absl::StrCat("there is no command \"", command, "\" with ",
                         arguments.size() - 1, " arguments; see --help"));
}

}  // namespace
}  // namespace tessera

int main(int argc, char** argv) {
  const std::vector<std::string> arguments = tessera::ParseFlagsAndArguments(
      argc, argv, tessera::kUsage, {__FILE__, tessera::kSecurityFlagsFile});
  const absl::StatusOr<tessera::Report> report = tessera::Run(arguments);
  if (!report.ok()) {
    std::fprintf(stderr, "tessera_ctl: %s\n",
                 std::string(report.status().message()).c_str());
    return tessera::kExitUsage;
  }
  std::fputs(report->text.c_str(), stdout);
  return report->is_good ? tessera::kExitOk : tessera::kExitFailed;
}
