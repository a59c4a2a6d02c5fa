#include "worker/bench/json_report.h"

#include <string>

namespace tessera::bench {
namespace {

nlohmann::json ToJson(const Summary& summary) {
  return {
      {"median", summary.median}, {"min", summary.min}, {"max", summary.max}};
}

nlohmann::json ToJson(const SeriesResult& line) {
  const v1::Encoding encoding = IsProduct(line.series.path)
                                    ? line.setting.encoding
                                    : v1::ENCODING_FLOAT32;
  nlohmann::json json = {
      {"message_bytes", line.setting.message_bytes},
      {"blocks", line.setting.blocks},
      {"in_flight", line.in_flight},
      {"workers", line.setting.shape.workers},
      {"servers", line.setting.shape.servers},
      {"encoding", std::string(Name(encoding))},
      {"operation", std::string(Name(line.series.operation))},
      {"transport", std::string(Name(line.series.path))}};
  if (line.throughput) {
    json["gb_per_second"] = ToJson(line.throughput->gb_per_second);
    json["repetitions_gb_per_second"] = line.throughput->repetitions;
    json["cpu_seconds_per_gb"] = ToJson(line.throughput->cpu_seconds_per_gb);
    if (line.throughput->share_of_raw) {
      json["share_of_raw_tcp"] = *line.throughput->share_of_raw;
    }
  }
  if (line.latency) {
    json["p50_us"] = line.latency->p50_us;
    json["p99_us"] = line.latency->p99_us;
    json["latency_samples"] = line.latency->samples;
    if (line.latency->share_of_raw) {
      json["p50_share_of_raw_tcp_push_then_pull"] = *line.latency->share_of_raw;
    }
  }
  return json;
}

}  // namespace

nlohmann::json ToJson(const BenchResult& result) {
  nlohmann::json series = nlohmann::json::array();
  for (const SeriesResult& line : result.series) {
    series.push_back(ToJson(line));
  }
  return {{"machine", result.machine},
          {"seconds", result.seconds},
          {"values_checked", result.values_checked},
          {"left_out", result.left_out},
          {"memory",
           {{"copy_256_mib", ToJson(result.memory.copy_large)},
            {"accumulate_256_mib", ToJson(result.memory.accumulate_large)},
            {"copy_1_mib", ToJson(result.memory.copy_small)},
            {"accumulate_1_mib", ToJson(result.memory.accumulate_small)}}},
          {"series", std::move(series)}};
}

}  // namespace tessera::bench
