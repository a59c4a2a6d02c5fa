#include "worker/worker_main.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "common/base/exit_status.h"
#include "common/base/program.h"
#include "common/base/stop_on_signal.h"
#include "common/rpc/allocator.h"
#include "common/rpc/security_flags.h"
#include "common/shm/shm_use.h"
#include "common/trace/trace_output.h"
#include "worker/client/coordinator_client.h"
#include "worker/train/trainer.h"

ABSL_FLAG(std::string, servers, "",
          "Addresses of all servers, host:port,host:port, in shard order. The "
          "first one hands out the work. Required.");
ABSL_FLAG(std::string, data_dir, "",
          "Folder of the data set on this machine, instead of the one that the "
          "job names.");
ABSL_FLAG(std::string, label, "",
          "Name of this worker in status and logs. Default: host:pid.");
ABSL_FLAG(std::string, trace_out, "",
          "File for a timeline of what this worker does, written at its end; "
          "ui.perfetto.dev shows it.");
ABSL_FLAG(std::string, shared_memory, "auto",
          "Whether values that travel to and from servers on this machine lie "
          "in memory that both can see: auto (where it can be), on (an error "
          "where it cannot) or off.");
ABSL_FLAG(std::string, device, "auto",
          "What computes: auto (a GPU where there is one), cpu or cuda. All "
          "workers of a job should have the same kind: sums on another go in "
          "another order, so the last bits of the result differ.");
ABSL_FLAG(
    bool, tf32, false,
    "Whether products on a GPU may round their factors to TensorFloat-32, "
    "which is faster and less exact.");
ABSL_FLAG(int, unreachable_after_seconds, 600,
          "Give up when a server cannot be reached for this long; until then, "
          "wait for it and say so in the log.");

namespace tessera {
namespace {

constexpr char kUsage[] =
    R"(Computes gradients for a Tessera job until the job ends.

A worker keeps no state: it fetches the job and the parameters from the servers
and may be killed, stopped or added at any time. Run one for each core, or one
for each GPU.

  tessera_worker --servers=10.0.0.1:7000,10.0.0.2:7000 --data_dir=/data/mnist

SIGTERM and SIGINT hand its work back and end it. Exit status: 0 when the job
ended or the worker was told to stop, 1 when something failed, 2 for bad flags.)";

std::string DefaultLabel() {
  char host[256] = "host";
  gethostname(host, sizeof(host) - 1);
  return absl::StrCat(host, ":", getpid());
}

// The launcher's "worker-1" is just 1.
std::string ShortLabel(const TrainerOptions& options) {
  return std::string(absl::StripPrefix(options.label, "worker-"));
}

int Run(const WorkerParts& parts) {
  const std::string servers = absl::GetFlag(FLAGS_servers);
  if (servers.empty()) {
    std::fputs("tessera_worker: --servers is required; see --help\n", stderr);
    return kExitUsage;
  }
  const absl::StatusOr<ShmUse> shared_memory =
      ParseShmUse(absl::GetFlag(FLAGS_shared_memory));
  if (!shared_memory.ok()) {
    spdlog::error("{}", std::string(shared_memory.status().message()));
    return kExitUsage;
  }
  TrainerOptions options{
      .servers = absl::StrSplit(servers, ','),
      .label = absl::GetFlag(FLAGS_label),
      .data_dir = absl::GetFlag(FLAGS_data_dir),
      .unreachable_after =
          absl::Seconds(absl::GetFlag(FLAGS_unreachable_after_seconds)),
      .on_outage =
          [](const std::string& report) { spdlog::warn("{}", report); },
      .security = SecurityFromFlags(),
      .shared_memory = *shared_memory,
      .make_network = parts.make_network};
  if (options.label.empty()) options.label = DefaultLabel();
  const auto device = parts.make_device(absl::GetFlag(FLAGS_device));
  if (!device.ok()) {
    spdlog::error("{}", std::string(device.status().message()));
    return absl::IsFailedPrecondition(device.status()) ||
                   absl::IsInvalidArgument(device.status())
               ? kExitUsage
               : kExitFailed;
  }
  spdlog::info("device {}", (*device)->name());
  options.device = device->get();
  options.tf32 = absl::GetFlag(FLAGS_tf32);

  const std::string trace_out = absl::GetFlag(FLAGS_trace_out);
  const auto tracer = StartTrace(
      trace_out, {.process_name = absl::StrCat("worker ", ShortLabel(options)),
                  .sort_index = kSortWorkers});
  if (!tracer.ok()) {
    spdlog::error("{}", std::string(tracer.status().message()));
    return kExitUsage;
  }
  options.tracer = tracer->get();
  StopOnSignal signals;
  const auto coordinator =
      CoordinatorClient::Create({.server = options.servers[0],
                                 .unreachable_after = options.unreachable_after,
                                 .security = options.security,
                                 .on_outage = options.on_outage});
  Trainer trainer(options, *coordinator);
  signals.Start([&trainer] {
    spdlog::info("stopping");
    trainer.Stop();
  });
  if (options.tracer != nullptr) options.tracer->NameThread("training");
  const absl::Status status = trainer.Run();
  // What the job is worth does not depend on the timeline.
  if (const absl::Status traced = FinishTrace(options.tracer, trace_out);
      !traced.ok()) {
    spdlog::warn("no timeline: {}", traced.ToString());
  }
  if (status.ok()) {
    spdlog::info("the job has ended");
    return kExitOk;
  }
  if (absl::IsCancelled(status)) return kExitOk;
  spdlog::error("{}", status.ToString());
  return kExitFailed;
}

}  // namespace

int WorkerMain(int argc, char** argv, const WorkerParts& parts) {
  KeepFreedMemory();
  spdlog::set_default_logger(spdlog::stderr_logger_mt("worker"));
  ParseFlags(argc, argv, kUsage, {__FILE__, kSecurityFlagsFile});
  return Run(parts);
}

}  // namespace tessera
