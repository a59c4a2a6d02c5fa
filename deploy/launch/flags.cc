#include "deploy/launch/flags.h"

#include <cstdint>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/file.h"
#include "common/base/program.h"
#include "common/base/status_macros.h"
#include "common/rpc/security_flags.h"
#include "worker/data/dataset.h"

ABSL_FLAG(std::string, job, "", "The job file. Required.");
ABSL_FLAG(int, servers, 1, "Server processes to start.");
ABSL_FLAG(int, workers, 1, "Worker processes to start; one a core is best.");
ABSL_FLAG(std::string, run_dir, "",
          "Folder for the results, made if need be. Default: "
          "tessera-runs/NAME-DATE-TIME.");
ABSL_FLAG(bool, overwrite, false,
          "Allow a run_dir that holds an earlier run's results.");
ABSL_FLAG(std::string, data_dir, "",
          "Folder of the data set, instead of the one that the job names.");
ABSL_FLAG(
    bool, compare, false,
    "Run the job with 1 server and again with --servers, and compare: DDP "
    "against ZeRO. Fails unless both end with the same bits.");
ABSL_FLAG(std::string, attach, "",
          "Addresses host:port,host:port of servers that run already, in shard "
          "order: watch them and write the results, start nothing.");
ABSL_FLAG(std::string, resolve_only, "",
          "Write the job, with all that its data says filled in, to this file "
          "and exit. Servers that are started by hand need it.");
ABSL_FLAG(std::string, trace_out, "",
          "File for a timeline of all processes: where each step's time goes. "
          "ui.perfetto.dev shows it.");
ABSL_FLAG(int, worker_restarts, 20,
          "Deaths of workers that are made good before giving up.");
ABSL_FLAG(int, server_restarts, 20,
          "Deaths of servers that are made good before giving up.");
ABSL_FLAG(std::string, checkpoint_dir, "",
          "Folder for checkpoints. Default: checkpoints in --run_dir. \"none\" "
          "for none; a server that dies then takes the job back to its start.");
ABSL_FLAG(bool, resume, false,
          "Go on from the newest checkpoint in the folder for them.");
ABSL_FLAG(int64_t, checkpoint_every_steps, 0,
          "Overrides the job's operation.checkpoint.every_steps.");
ABSL_FLAG(double, checkpoint_every_seconds, 0,
          "Overrides the job's operation.checkpoint.every_seconds.");
ABSL_FLAG(int, keep_checkpoints, 0,
          "Overrides the job's operation.checkpoint.keep.");
ABSL_FLAG(int, stop_within_seconds, 30,
          "After Ctrl-C or SIGTERM: when to give up waiting for the job's end "
          "and kill everything, without results.");
ABSL_FLAG(int, lease_seconds, 10,
          "A worker that is silent for this long loses its work to another.");
ABSL_FLAG(std::string, server_flags, "",
          "More flags for the servers, separated by spaces.");
ABSL_FLAG(std::string, worker_flags, "",
          "More flags for the workers, separated by spaces.");
ABSL_FLAG(std::string, server_binary, "",
          "Default: ../server/tessera_server, seen from this program.");
ABSL_FLAG(std::string, worker_binary, "",
          "Default: ../worker/tessera_worker, seen from this program.");

namespace tessera {
namespace {

std::string ProgramAt(const std::string& given, const char* installed) {
  return given.empty() ? InstalledProgram(installed) : given;
}

// The job's name, fit for a folder's.
std::string FolderName(const Job& job) {
  std::string name = job.proto().name().empty() ? "job" : job.proto().name();
  for (char& c : name) {
    if (!absl::ascii_isalnum(c) && c != '-' && c != '.') c = '_';
  }
  return name;
}

// What the flags say of how the job is run.
void OverrideOperation(v1::Job& job) {
  v1::CheckpointPolicy& policy = *job.mutable_operation()->mutable_checkpoint();
  const int64_t steps = absl::GetFlag(FLAGS_checkpoint_every_steps);
  const double seconds = absl::GetFlag(FLAGS_checkpoint_every_seconds);
  if (steps != 0 || seconds != 0) {
    policy.set_every_steps(steps);
    policy.set_every_seconds(seconds);
  }
  const int keep = absl::GetFlag(FLAGS_keep_checkpoints);
  if (keep != 0) policy.set_keep(keep);
}

absl::Status CheckCheckpointFlags() {
  const bool resume = absl::GetFlag(FLAGS_resume);
  if (resume && absl::GetFlag(FLAGS_run_dir).empty() &&
      absl::GetFlag(FLAGS_checkpoint_dir).empty()) {
    return absl::InvalidArgumentError(
        "--resume needs the --run_dir of the run to go on with, or a "
        "--checkpoint_dir");
  }
  if (resume && absl::GetFlag(FLAGS_checkpoint_dir) == "none") {
    return absl::InvalidArgumentError(
        "--resume and --checkpoint_dir=none exclude each other");
  }
  const bool attach = !absl::GetFlag(FLAGS_attach).empty();
  if ((attach || absl::GetFlag(FLAGS_compare)) &&
      (resume || !absl::GetFlag(FLAGS_checkpoint_dir).empty())) {
    return absl::InvalidArgumentError(
        "--resume and --checkpoint_dir are for one run that is started here, "
        "not for --attach or --compare");
  }
  return absl::OkStatus();
}

void AppendWords(const std::string& text, std::vector<std::string>& words) {
  for (const auto word : absl::StrSplit(text, ' ', absl::SkipEmpty())) {
    words.emplace_back(word);
  }
}

}  // namespace

const char kLaunchFlagsFile[] = __FILE__;

absl::Status CheckLaunchFlags() {
  if (absl::GetFlag(FLAGS_servers) < 1 || absl::GetFlag(FLAGS_workers) < 1) {
    return absl::InvalidArgumentError(
        "--servers and --workers must be at least 1");
  }
  if (absl::GetFlag(FLAGS_lease_seconds) < 1) {
    return absl::InvalidArgumentError("--lease_seconds must be at least 1");
  }
  if (absl::GetFlag(FLAGS_worker_restarts) < 0 ||
      absl::GetFlag(FLAGS_server_restarts) < 0) {
    return absl::InvalidArgumentError(
        "--worker_restarts and --server_restarts must be at least 0");
  }
  if (absl::GetFlag(FLAGS_stop_within_seconds) < 1) {
    return absl::InvalidArgumentError(
        "--stop_within_seconds must be at least 1");
  }
  TESSERA_RETURN_IF_ERROR(CheckCheckpointFlags());
  const ChannelSecurity security = SecurityFromFlags();
  const bool network_flags =
      security.insecure_network || !security.ca_file.empty() ||
      !security.cert_file.empty() || !security.key_file.empty();
  if (network_flags && absl::GetFlag(FLAGS_attach).empty()) {
    return absl::InvalidArgumentError(
        "--tls_* and --insecure_network are for --attach: what is started here "
        "talks over the loopback interface");
  }
  if (!absl::GetFlag(FLAGS_trace_out).empty() &&
      (absl::GetFlag(FLAGS_compare) || !absl::GetFlag(FLAGS_attach).empty())) {
    return absl::InvalidArgumentError(
        "--trace_out is for one run of processes that are started here, so not "
        "for --compare or --attach; servers and workers take --trace_out too");
  }
  if (absl::GetFlag(FLAGS_compare) && (absl::GetFlag(FLAGS_servers) < 2 ||
                                       !absl::GetFlag(FLAGS_attach).empty())) {
    return absl::InvalidArgumentError(
        "--compare needs --servers of at least 2, and no --attach");
  }
  return absl::OkStatus();
}

absl::StatusOr<Job> JobFromFlags() {
  if (absl::GetFlag(FLAGS_job).empty()) {
    return absl::InvalidArgumentError("--job is required; see --help");
  }
  TESSERA_ASSIGN_OR_RETURN(v1::Job proto,
                           LoadJobFile(absl::GetFlag(FLAGS_job)));
  OverrideOperation(proto);
  if (!absl::GetFlag(FLAGS_attach).empty()) {
    // A machine that only watches needs no data, if the job is resolved.
    auto job = Job::Create(proto);
    if (!absl::IsFailedPrecondition(job.status())) return job;
  }
  TESSERA_ASSIGN_OR_RETURN(
      const DataSetFacts facts,
      ReadDataSetFacts(proto, absl::GetFlag(FLAGS_data_dir)));
  TESSERA_RETURN_IF_ERROR(ResolveDataSet(facts, proto));
  return Job::Create(std::move(proto));
}

absl::StatusOr<std::string> MakeRunDir(const Job& job) {
  std::string dir = absl::GetFlag(FLAGS_run_dir);
  if (dir.empty()) {
    dir = absl::StrCat(
        "tessera-runs/", FolderName(job), "-",
        absl::FormatTime("%Y%m%d-%H%M%S", absl::Now(), absl::LocalTimeZone()));
  }
  TESSERA_RETURN_IF_ERROR(MakeDirectories(dir));
  // The second is what a comparison leaves.
  const bool used = std::filesystem::exists(dir + "/job.textproto") ||
                    std::filesystem::exists(dir + "/1-servers");
  if (used && !absl::GetFlag(FLAGS_overwrite) && !absl::GetFlag(FLAGS_resume)) {
    return absl::AlreadyExistsError(
        absl::StrCat("--run_dir=", dir,
                     " holds an earlier run; take another, or --overwrite, or "
                     "go on with it: --resume"));
  }
  return dir;
}

RunOptions OptionsFromFlags(const std::string& run_dir, int servers) {
  RunOptions options{
      .cluster = {.server_binary = ProgramAt(absl::GetFlag(FLAGS_server_binary),
                                             "server/tessera_server"),
                  .worker_binary = ProgramAt(absl::GetFlag(FLAGS_worker_binary),
                                             "worker/tessera_worker"),
                  .run_dir = run_dir,
                  .servers = servers,
                  .workers = absl::GetFlag(FLAGS_workers),
                  .worker_restarts = absl::GetFlag(FLAGS_worker_restarts),
                  .server_restarts = absl::GetFlag(FLAGS_server_restarts),
                  .server_flags = {absl::StrCat(
                      "--lease_seconds=", absl::GetFlag(FLAGS_lease_seconds))}},
      .security = SecurityFromFlags(),
      .trace_out = absl::GetFlag(FLAGS_trace_out),
      .checkpoint_dir = absl::GetFlag(FLAGS_checkpoint_dir),
      .resume = absl::GetFlag(FLAGS_resume),
      .overwrite = absl::GetFlag(FLAGS_overwrite),
      .stop_within = absl::Seconds(absl::GetFlag(FLAGS_stop_within_seconds))};
  if (options.checkpoint_dir.empty()) {
    options.checkpoint_dir = run_dir + "/checkpoints";
  } else if (options.checkpoint_dir == "none") {
    options.checkpoint_dir.clear();
  }
  if (!absl::GetFlag(FLAGS_attach).empty()) {
    options.attach = absl::StrSplit(absl::GetFlag(FLAGS_attach), ',');
  }
  AppendWords(absl::GetFlag(FLAGS_server_flags), options.cluster.server_flags);
  AppendWords(absl::GetFlag(FLAGS_worker_flags), options.cluster.worker_flags);
  if (!absl::GetFlag(FLAGS_data_dir).empty()) {
    options.cluster.worker_flags.push_back(
        absl::StrCat("--data_dir=", absl::GetFlag(FLAGS_data_dir)));
  }
  return options;
}

}  // namespace tessera
