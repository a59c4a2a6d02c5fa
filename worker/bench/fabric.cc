#include "worker/bench/fabric.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "worker/bench/bench_job.h"
#include "worker/bench/process_usage.h"
#include "worker/bench/step_board.h"

namespace tessera::bench {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(60);
constexpr absl::Duration kGrace = absl::Seconds(5);
constexpr absl::Duration kLookInterval = absl::Milliseconds(5);

}  // namespace

absl::StatusOr<std::unique_ptr<Fabric>> Fabric::Start(FabricOptions options) {
  auto fabric = std::unique_ptr<Fabric>(new Fabric(std::move(options)));
  TESSERA_RETURN_IF_ERROR(fabric->StartServers());
  TESSERA_RETURN_IF_ERROR(fabric->StartWorkers());
  TESSERA_RETURN_IF_ERROR(fabric->Reset());
  fabric->connected_ = fabric->options_.paths[0];
  return fabric;
}

Fabric::~Fabric() {
  // Workers and our own servers end when their link does.
  std::vector<Child*> children;
  for (std::vector<Member>* members : {&workers_, &servers_}) {
    for (Member& member : *members) {
      member.CloseLink();
      children.push_back(&member.child());
    }
  }
  StopAll(children, kGrace);
}

std::string Fabric::NameOf(const std::string& kind, int index) const {
  return absl::StrCat(
      Name(options_.paths[0]), " ", Name(options_.setting.shape), ", ",
      FormatBytes(options_.setting.message_bytes), ": ", kind, " ", index);
}

std::string Fabric::InFolder(const std::string& name) const {
  return absl::StrCat(options_.folder, "/", name);
}

ChildSetup Fabric::SetupFor(int index) const {
  const Setting& setting = options_.setting;
  ChildSetup setup{.index = index,
                   .elements = setting.elements(),
                   .block_bytes = setting.message_bytes,
                   .shard_count = setting.shape.servers,
                   .workers = setting.shape.workers,
                   .rate = kLearningRate,
                   .encoding = setting.encoding,
                   .paths = options_.paths,
                   .servers = addresses_,
                   .board_file = InFolder("board"),
                   .job_fingerprint = job_fingerprint_};
  if (options_.running != nullptr) {
    setup.rate = options_.running->learning_rate;
    setup.version = options_.running->version;
    setup.security = options_.running->security;
  }
  return setup;
}

absl::Status Fabric::StartServers() {
  if (options_.running != nullptr) {
    addresses_ = options_.running->addresses;
    job_fingerprint_ = options_.running->job_fingerprint;
    return absl::OkStatus();
  }
  if (!options_.running_raw.empty()) {
    addresses_ = options_.running_raw;
    return absl::OkStatus();
  }
  if (IsTessera()) return StartTesseraServers();
  const char* role =
      options_.paths[0] == Path::kRawTcp ? kRawServerRole : kBaselineServerRole;
  TESSERA_RETURN_IF_ERROR(
      StartRoles(role, "server", options_.setting.shape.servers, servers_));
  for (Member& server : servers_) {
    TESSERA_ASSIGN_OR_RETURN(const nlohmann::json answer, server.Receive());
    addresses_.push_back(answer.value("address", std::string()));
  }
  return absl::OkStatus();
}

absl::Status Fabric::StartTesseraServers() {
  TESSERA_ASSIGN_OR_RETURN(const Job job, MakeBenchJob(options_.setting));
  job_fingerprint_ = job.fingerprint();
  const std::string job_file = InFolder("job.textproto");
  TESSERA_RETURN_IF_ERROR(
      WriteFileAtomically(job_file, FormatJobText(job.proto())));
  const int count = options_.setting.shape.servers;
  for (int shard = 0; shard < count; ++shard) {
    TESSERA_ASSIGN_OR_RETURN(
        Member server,
        Member::Start({options_.server_binary, absl::StrCat("--job=", job_file),
                       absl::StrCat("--shard=", shard),
                       absl::StrCat("--shard_count=", count), "--norecover",
                       "--listen=127.0.0.1:0",
                       absl::StrCat("--port_file=",
                                    InFolder(absl::StrCat("port-", shard)))},
                      NameOf("server", shard),
                      InFolder(absl::StrCat("server-", shard, ".log"))));
    servers_.push_back(std::move(server));
  }
  for (int shard = 0; shard < count; ++shard) {
    TESSERA_RETURN_IF_ERROR(AwaitTesseraServer(shard));
  }
  return absl::OkStatus();
}

absl::Status Fabric::AwaitTesseraServer(int shard) {
  const absl::Time deadline = absl::Now() + kStartTimeout;
  Member& server = servers_[static_cast<size_t>(shard)];
  while (true) {
    const auto address = ReadFile(InFolder(absl::StrCat("port-", shard)));
    if (address.ok()) {
      addresses_.emplace_back(absl::StripAsciiWhitespace(*address));
      return absl::OkStatus();
    }
    // Another program's file is all there is to look at; its end can be waited
    // for.
    if (server.child().WaitFor(kLookInterval) || absl::Now() > deadline) {
      return server.Explain(absl::UnavailableError("does not come up"));
    }
  }
}

absl::Status Fabric::StartRoles(const char* role, const std::string& kind,
                                int count, std::vector<Member>& members) {
  for (int i = 0; i < count; ++i) {
    TESSERA_ASSIGN_OR_RETURN(
        Member member,
        Member::StartRole(options_.bench_binary, role, SetupFor(i),
                          NameOf(kind, i),
                          InFolder(absl::StrCat(kind, "-", i, ".log"))));
    members.push_back(std::move(member));
  }
  return absl::OkStatus();
}

absl::Status Fabric::StartWorkers() {
  const Setting& setting = options_.setting;
  TESSERA_RETURN_IF_ERROR(StepBoard::Create(
      InFolder("board"), setting.shape.workers, setting.blocks));
  const char* role =
      options_.paths[0] == Path::kGrpcDefaults ? kPlainWorkerRole : kWorkerRole;
  TESSERA_RETURN_IF_ERROR(
      StartRoles(role, "worker", setting.shape.workers, workers_));
  for (Member& worker : workers_) {
    TESSERA_RETURN_IF_ERROR(worker.Receive().status());
  }
  return absl::OkStatus();
}

absl::Status Fabric::Reset() {
  TESSERA_ASSIGN_OR_RETURN(const auto answers, Command({{"command", "reset"}}));
  for (const nlohmann::json& answer : answers) {
    if (answer != answers[0]) {
      return absl::InternalError("the workers do not agree on the version");
    }
  }
  max_steps_ = answers[0].value("max_steps", int64_t{0});
  steps_since_reset_ = 0;
  return absl::OkStatus();
}

absl::Status Fabric::ConnectBy(Path path) {
  if (path == connected_) return absl::OkStatus();
  RunRequest request{.series = {Operation::kPushPull, path},
                     .blocks = options_.setting.blocks,
                     .in_flight = 8};
  // All workers are connected before any of them starts.
  nlohmann::json connect = ToJson(request);
  connect["command"] = "connect";
  TESSERA_RETURN_IF_ERROR(Command(connect).status());
  connected_ = path;
  // Windows open, and memory that was just mapped is touched, in a step that
  // nobody times.
  ++steps_since_reset_;
  TESSERA_RETURN_IF_ERROR(Command(ToJson(request)).status());
  return Command({{"command", "verify"}}).status();
}

absl::StatusOr<FabricRun> Fabric::Run(const RunRequest& request) {
  if (request.steps > max_steps_) {
    return absl::OutOfRangeError(
        absl::StrCat(request.steps, " steps in a run are more than the ",
                     max_steps_, " after which float32 rounds"));
  }
  TESSERA_RETURN_IF_ERROR(ConnectBy(request.series.path));
  if (steps_since_reset_ + request.steps > max_steps_) {
    TESSERA_RETURN_IF_ERROR(Reset());
  }
  steps_since_reset_ += request.steps;
  TESSERA_ASSIGN_OR_RETURN(const double cpu_before, ServerCpuSeconds());
  TESSERA_ASSIGN_OR_RETURN(const auto answers, Command(ToJson(request)));
  TESSERA_ASSIGN_OR_RETURN(const double cpu_after, ServerCpuSeconds());

  FabricRun total{.cpu_seconds = cpu_after - cpu_before};
  int64_t begin_ns = std::numeric_limits<int64_t>::max();
  int64_t end_ns = 0;
  for (const nlohmann::json& answer : answers) {
    TESSERA_ASSIGN_OR_RETURN(const WorkerRun run, RunFromJson(answer));
    begin_ns = std::min(begin_ns, run.pipeline.begin_ns);
    end_ns = std::max(end_ns, run.pipeline.end_ns);
    total.bytes +=
        run.pipeline.calls *
        PayloadBytes(request.series.operation, options_.setting.message_bytes);
    total.cpu_seconds += run.cpu_seconds;
    total.values_checked += run.pipeline.values_checked;
    for (int64_t ns : run.pipeline.latencies_ns) {
      total.latencies_us.push_back(static_cast<double>(ns) / 1000);
    }
  }
  total.seconds = static_cast<double>(end_ns - begin_ns) * 1e-9;
  TESSERA_ASSIGN_OR_RETURN(const auto checks, Command({{"command", "verify"}}));
  for (const nlohmann::json& check : checks) {
    total.values_checked += check.value("values_checked", int64_t{0});
  }
  return total;
}

absl::StatusOr<std::vector<nlohmann::json>> Fabric::Command(
    const nlohmann::json& command) {
  return CommandAll(absl::MakeSpan(workers_), command);
}

std::vector<pid_t> Fabric::server_pids() const {
  std::vector<pid_t> pids;
  for (const Member& server : servers_) pids.push_back(server.child().pid());
  return pids;
}

absl::StatusOr<double> Fabric::ServerCpuSeconds() const {
  double seconds = 0;
  for (const Member& server : servers_) {
    TESSERA_ASSIGN_OR_RETURN(const double used,
                             CpuSeconds(server.child().pid()));
    seconds += used;
  }
  return seconds;
}

}  // namespace tessera::bench
