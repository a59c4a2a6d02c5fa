// Results for other programs. A pure function.

#ifndef TESSERA_WORKER_BENCH_JSON_REPORT_H_
#define TESSERA_WORKER_BENCH_JSON_REPORT_H_

#include <nlohmann/json.hpp>

#include "worker/bench/result.h"

namespace tessera::bench {

// {"machine", "seconds", "values_checked", "left_out": [...],
//  "memory": {"copy_256_mib": {"median", "min", "max"}, ...},  GB/s
//  "series": [{"message_bytes", "blocks", "in_flight", "workers", "servers",
//              "encoding", "operation", "transport",
//              "gb_per_second": {"median", "min", "max"},
//              "repetitions_gb_per_second": [...],
//              "share_of_raw_tcp", "cpu_seconds_per_gb": {...},
//              "p50_us", "p99_us", "latency_samples",
//              "p50_share_of_raw_tcp_push_then_pull"}]}
// What was not measured is left out.
nlohmann::json ToJson(const BenchResult& result);

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_JSON_REPORT_H_
