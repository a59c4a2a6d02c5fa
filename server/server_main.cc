#include "server/server_main.h"

#include <grpc/support/log.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/exit_status.h"
#include "common/base/file.h"
#include "common/base/mutex.h"
#include "common/base/program.h"
#include "common/base/status_macros.h"
#include "common/base/stop_on_signal.h"
#include "common/job/job.h"
#include "common/rpc/allocator.h"
#include "common/rpc/listener.h"
#include "common/rpc/security_flags.h"
#include "common/shm/shm_use.h"
#include "common/trace/trace_output.h"
#include "server/service/server.h"

ABSL_FLAG(std::string, job, "",
          "Job file (textproto), the same for all servers, with the data set's "
          "shape and sizes filled in, as the launcher writes it. Required.");
ABSL_FLAG(int, shard, 0,
          "Which shard of the parameters this server holds, from 0. Shard 0's "
          "server also hands out the work.");
ABSL_FLAG(int, shard_count, 1, "How many servers share the job's parameters.");
ABSL_FLAG(std::string, listen, "127.0.0.1:0",
          "Address to serve on, host:port. Port 0 takes any that is free.");
ABSL_FLAG(std::string, port_file, "",
          "File to write the address to, as a line host:port with the real "
          "port, once the server can be reached.");
ABSL_FLAG(std::string, device, "auto",
          "Where the shard lives and is updated: auto, cpu or cuda.");
ABSL_FLAG(std::string, shared_memory, "auto",
          "Whether values that travel to and from workers on this machine lie "
          "in memory that both can see: auto (where it can be), on (an error "
          "where it cannot) or off.");
ABSL_FLAG(std::string, trace_out, "",
          "File for a timeline of what is done with each block, written at the "
          "end; ui.perfetto.dev shows it.");
ABSL_FLAG(std::string, coordinator, "",
          "Address of shard 0's server, host:port. Required for other shards.");
ABSL_FLAG(
    bool, recover, true,
    "Whether this server recovers with the others, as all of them must or "
    "none. With --norecover it serves at once and by itself, which is for "
    "measurements: there are no checkpoints, and a server that dies ends "
    "the job.");
ABSL_FLAG(
    std::string, checkpoint_dir, "",
    "Folder for the job's checkpoints, the same for all servers, on a disk "
    "that they share; made if it is not there. What it holds of this job "
    "is where training goes on from. Without it there are no checkpoints, "
    "and a server that is started anew takes the job back to its start.");
ABSL_FLAG(double, lease_seconds, 10,
          "Shard 0 only: a worker that is silent for longer loses its work to "
          "another.");

namespace tessera {
namespace {

constexpr char kUsage[] =
    R"(Holds one shard of a Tessera job's parameters: sums the workers'
gradients, applies the optimizer, serves fresh parameters. Start one for each
shard, then workers that are given all servers' addresses in shard order.

  tessera_server --job=job.textproto --shard=0 --shard_count=2 \
      --listen=10.0.0.1:7000 --checkpoint_dir=/shared/checkpoints \
      --tls_ca=ca.pem --tls_cert=me.pem --tls_key=me.key
  tessera_server --job=job.textproto --shard=1 --shard_count=2 \
      --listen=10.0.0.2:7000 --checkpoint_dir=/shared/checkpoints \
      --coordinator=10.0.0.1:7000 \
      --tls_ca=ca.pem --tls_cert=me.pem --tls_key=me.key

A server that died is to be started anew with the same flags: all servers then
go on from the newest checkpoint that is complete.

SIGTERM and SIGINT end it within 5 seconds, whatever it is doing, unless a disk
takes longer for what it is writing just then. Exit status: 0 when it was told
to stop, 1 when something failed or another server has taken its place, 2 for
bad flags or a bad job.)";

int Fail(int exit_status, const absl::Status& status) {
  spdlog::error("{}", std::string(status.message()));
  return exit_status;
}

// gRPC's own messages, into our log.
void LogGrpc(gpr_log_func_args* args) {
  const auto level = args->severity == GPR_LOG_SEVERITY_ERROR
                         ? spdlog::level::warn
                         : spdlog::level::debug;
  spdlog::log(level, "gRPC: {}", args->message);
}

absl::Status CheckRecoveryFlags() {
  const bool recover = absl::GetFlag(FLAGS_recover);
  if (recover && absl::GetFlag(FLAGS_shard) > 0 &&
      absl::GetFlag(FLAGS_coordinator).empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--coordinator is required with --shard=", absl::GetFlag(FLAGS_shard),
        ": the address of shard 0's server"));
  }
  if (!recover && !absl::GetFlag(FLAGS_checkpoint_dir).empty()) {
    return absl::InvalidArgumentError(
        "--checkpoint_dir and --norecover exclude each other");
  }
  return absl::OkStatus();
}

absl::Status CheckFlags() {
  if (absl::GetFlag(FLAGS_job).empty()) {
    return absl::InvalidArgumentError("--job is required; see --help");
  }
  const double lease_seconds = absl::GetFlag(FLAGS_lease_seconds);
  if (!(lease_seconds >= 0.1 && lease_seconds <= 86400)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--lease_seconds=", lease_seconds, ": must be from 0.1 to 86400"));
  }
  TESSERA_RETURN_IF_ERROR(CheckRecoveryFlags());
  return ParseShmUse(absl::GetFlag(FLAGS_shared_memory)).status();
}

absl::StatusOr<Job> LoadJob(const std::string& path) {
  TESSERA_ASSIGN_OR_RETURN(v1::Job proto, LoadJobFile(path));
  auto job = Job::Create(std::move(proto));
  if (job.ok()) return job;
  return absl::Status(job.status().code(),
                      absl::StrCat(path, ": ", job.status().message()));
}

ServerOptions OptionsFromFlags(Storage& storage) {
  return {.shard = absl::GetFlag(FLAGS_shard),
          .shard_count = absl::GetFlag(FLAGS_shard_count),
          .listen = absl::GetFlag(FLAGS_listen),
          .device = absl::GetFlag(FLAGS_device),
          .security = SecurityFromFlags(),
          .shared_memory = *ParseShmUse(absl::GetFlag(FLAGS_shared_memory)),
          .lease = absl::Seconds(absl::GetFlag(FLAGS_lease_seconds)),
          // Ids of a server that is started anew must differ from those that
          // its predecessor gave.
          .first_worker_id =
              static_cast<uint64_t>(absl::ToUnixMillis(absl::Now())) * 1000 + 1,
          // Likewise its generations, which workers may remember.
          .generation_floor = absl::ToUnixMillis(absl::Now()),
          .servers_attend = absl::GetFlag(FLAGS_recover),
          .coordinator = absl::GetFlag(FLAGS_coordinator),
          .checkpoint_dir = absl::GetFlag(FLAGS_checkpoint_dir),
          .storage = &storage};
}

// Whether a server that cannot start would not start next time either.
bool IsUsersMistake(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsNotFound(status) ||
         absl::IsFailedPrecondition(status) || absl::IsPermissionDenied(status);
}

// What ends a server: whichever comes first.
class Ending {
 public:
  // Repeats do nothing. Thread-safe, as all.
  void Stop() { End(absl::OkStatus()); }
  void Fail(const absl::Status& why) { End(why); }
  absl::Status Await() {
    MutexLock lock(&mutex_);
    mutex_.Await([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return how_.has_value();
    });
    return *how_;
  }

 private:
  void End(const absl::Status& how) {
    MutexLock lock(&mutex_);
    if (!how_.has_value()) how_ = how;
  }

  Mutex mutex_;
  std::optional<absl::Status> how_ ABSL_GUARDED_BY(mutex_);
};

// Serves from the server's start until its ending. Returns the exit status.
int Serve(Server& server, const ServerOptions& options, Ending& ending,
          StopOnSignal& signals) {
  spdlog::info("serving shard {} of {} of job \"{}\" on {}, device {}",
               options.shard, options.shard_count, server.job().proto().name(),
               server.address(), server.device_name());
  if (const std::string port_file = absl::GetFlag(FLAGS_port_file);
      !port_file.empty()) {
    absl::Status status =
        WriteFileAtomically(port_file, absl::StrCat(server.address(), "\n"));
    if (!status.ok()) return Fail(kExitFailed, status);
  }
  signals.Start([&ending] { ending.Stop(); });
  const absl::Status how = ending.Await();
  spdlog::info("stopping");
  server.Shutdown();
  if (how.ok()) return kExitOk;
  return Fail(kExitFailed,
              absl::Status(how.code(), absl::StrCat("this server must end: ",
                                                    how.message())));
}

int Main(Storage& storage, const ServerParts& parts) {
  if (absl::Status status = CheckFlags(); !status.ok()) {
    return Fail(kExitUsage, status);
  }
  auto job = LoadJob(absl::GetFlag(FLAGS_job));
  if (!job.ok()) return Fail(kExitUsage, job.status());

  ServerOptions options = OptionsFromFlags(storage);
  const std::string trace_out = absl::GetFlag(FLAGS_trace_out);
  const auto tracer = StartTrace(
      trace_out, {.process_name = absl::StrCat("server ", options.shard),
                  .sort_index = kSortServers + options.shard});
  if (!tracer.ok()) return Fail(kExitUsage, tracer.status());
  options.tracer = tracer->get();

  Ending ending;
  options.on_refused = [&ending](const absl::Status& why) { ending.Fail(why); };
  StopOnSignal signals;
  const auto server = Server::Start(*std::move(job), options, parts);
  if (!server.ok()) {
    return Fail(IsUsersMistake(server.status()) ? kExitUsage : kExitFailed,
                server.status());
  }
  const int exit_status = Serve(**server, options, ending, signals);
  // What the job is worth does not depend on the timeline.
  if (const absl::Status traced = FinishTrace(options.tracer, trace_out);
      !traced.ok()) {
    spdlog::warn("no timeline: {}", traced.ToString());
  }
  return exit_status;
}

}  // namespace

int ServerMain(int argc, char** argv, Storage& storage,
               const ServerParts& parts) {
  KeepFreedMemory();
  RaiseDescriptorLimit();
  spdlog::set_default_logger(spdlog::stderr_logger_mt("server"));
  gpr_set_log_function(LogGrpc);
  ParseFlags(argc, argv, kUsage, {__FILE__, kSecurityFlagsFile});
  return Main(storage, parts);
}

}  // namespace tessera
