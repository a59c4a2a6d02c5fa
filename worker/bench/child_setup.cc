#include "worker/bench/child_setup.h"

#include "absl/strings/str_cat.h"
#include "worker/bench/closed_form.h"

namespace tessera::bench {
namespace {

// Both ends are this very program, so any error is ours.
template <typename Result, typename Read>
absl::StatusOr<Result> Parse(const nlohmann::json& json, Read read) {
  try {
    Result result;
    read(result);
    return result;
  } catch (const nlohmann::json::exception& error) {
    return absl::InternalError(
        absl::StrCat("a control message ", json.dump(), ": ", error.what()));
  }
}

}  // namespace

absl::StatusOr<ShardPlan> ChildSetup::Plan() const {
  return ShardPlan::Create(elements, shard_count, block_bytes);
}

float ChildSetup::unit() const {
  return rate / static_cast<float>(MicrobatchesFor(workers));
}

nlohmann::json ToJson(const ChildSetup& s) {
  return {{"index", s.index},
          {"elements", s.elements},
          {"block_bytes", s.block_bytes},
          {"shard_count", s.shard_count},
          {"workers", s.workers},
          {"rate", s.rate},
          {"encoding", s.encoding},
          {"paths", s.paths},
          {"servers", s.servers},
          {"board_file", s.board_file},
          {"job_fingerprint", s.job_fingerprint},
          {"version", s.version},
          {"ca_file", s.security.ca_file},
          {"cert_file", s.security.cert_file},
          {"key_file", s.security.key_file},
          {"insecure_network", s.security.insecure_network}};
}

absl::StatusOr<ChildSetup> SetupFromJson(const nlohmann::json& json) {
  return Parse<ChildSetup>(json, [&](ChildSetup& s) {
    json.at("index").get_to(s.index);
    json.at("elements").get_to(s.elements);
    json.at("block_bytes").get_to(s.block_bytes);
    json.at("shard_count").get_to(s.shard_count);
    json.at("workers").get_to(s.workers);
    json.at("rate").get_to(s.rate);
    s.encoding = json.at("encoding").get<v1::Encoding>();
    s.paths = json.at("paths").get<std::vector<Path>>();
    s.servers = json.at("servers").get<std::vector<std::string>>();
    json.at("board_file").get_to(s.board_file);
    json.at("job_fingerprint").get_to(s.job_fingerprint);
    json.at("version").get_to(s.version);
    json.at("ca_file").get_to(s.security.ca_file);
    json.at("cert_file").get_to(s.security.cert_file);
    json.at("key_file").get_to(s.security.key_file);
    json.at("insecure_network").get_to(s.security.insecure_network);
  });
}

nlohmann::json ToJson(const RunRequest& r) {
  return {{"command", "run"},
          {"operation", r.series.operation},
          {"path", r.series.path},
          {"steps", r.steps},
          {"blocks", r.blocks},
          {"in_flight", r.in_flight},
          {"keep_latencies", r.keep_latencies}};
}

absl::StatusOr<RunRequest> RequestFromJson(const nlohmann::json& json) {
  return Parse<RunRequest>(json, [&](RunRequest& r) {
    r.series.operation = json.at("operation").get<Operation>();
    r.series.path = json.at("path").get<Path>();
    json.at("steps").get_to(r.steps);
    json.at("blocks").get_to(r.blocks);
    json.at("in_flight").get_to(r.in_flight);
    json.at("keep_latencies").get_to(r.keep_latencies);
  });
}

nlohmann::json ToJson(const WorkerRun& run) {
  return {{"begin_ns", run.pipeline.begin_ns},
          {"end_ns", run.pipeline.end_ns},
          {"calls", run.pipeline.calls},
          {"values_checked", run.pipeline.values_checked},
          {"latencies_ns", run.pipeline.latencies_ns},
          {"cpu_seconds", run.cpu_seconds}};
}

absl::StatusOr<WorkerRun> RunFromJson(const nlohmann::json& json) {
  return Parse<WorkerRun>(json, [&](WorkerRun& run) {
    json.at("begin_ns").get_to(run.pipeline.begin_ns);
    json.at("end_ns").get_to(run.pipeline.end_ns);
    json.at("calls").get_to(run.pipeline.calls);
    json.at("values_checked").get_to(run.pipeline.values_checked);
    json.at("latencies_ns").get_to(run.pipeline.latencies_ns);
    json.at("cpu_seconds").get_to(run.cpu_seconds);
  });
}

nlohmann::json ErrorToJson(const absl::Status& status) {
  return {{"error", std::string(status.message())},
          {"code", static_cast<int>(status.code())}};
}

absl::Status ErrorFromJson(const nlohmann::json& json) {
  if (!json.contains("error")) return absl::OkStatus();
  const auto code = static_cast<absl::StatusCode>(
      json.value("code", static_cast<int>(absl::StatusCode::kUnknown)));
  return absl::Status(code, json.value("error", std::string()));
}

}  // namespace tessera::bench
