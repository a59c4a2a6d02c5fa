#include "server/service/admin_handler.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace tessera {

absl::Status NotTheCoordinator(int shard) {
  return absl::FailedPreconditionError(
      absl::StrCat("this server holds shard ", shard,
                   "; the coordinator is on shard 0's server: ask that one"));
}

namespace {

void FillMemory(const ShardStats& stats, v1::ShardMemory& memory) {
  memory.set_parameter_bytes(stats.parameter_bytes);
  memory.set_encoded_bytes(stats.encoded_bytes);
  memory.set_older_version_bytes(stats.older_version_bytes);
  memory.set_gradient_bytes(stats.gradient_bytes);
  memory.set_extra_gradient_bytes(stats.extra_gradient_bytes);
  memory.set_optimizer_bytes(stats.optimizer_bytes);
}

// Joins what the store counted with what the handler did; in order of ids.
void FillTraffic(const ShardStats& stats,
                 const std::map<uint64_t, int64_t>& pulled_bytes,
                 v1::GetServerInfoResponse& response) {
  std::map<uint64_t, v1::PeerTraffic> by_worker;
  for (const WorkerTraffic& pushed : stats.traffic) {
    v1::PeerTraffic& traffic = by_worker[pushed.worker.value()];
    traffic.set_pushes(pushed.pushes);
    traffic.set_duplicates(pushed.duplicates);
    traffic.set_pushed_bytes(pushed.pushed_bytes);
  }
  for (const auto& [worker, bytes] : pulled_bytes) {
    by_worker[worker].set_pulled_bytes(bytes);
  }
  for (auto& [worker, traffic] : by_worker) {
    traffic.set_worker_id(worker);
    *response.add_traffic() = std::move(traffic);
  }
}

}  // namespace

v1::GetServerInfoResponse AdminHandler::GetServerInfo() const {
  const ShardStats stats = parts_.store.Stats();
  const Interval blocks = parts_.plan.ShardBlocks(parts_.shard);
  v1::GetServerInfoResponse response;
  response.set_job_fingerprint(parts_.job.fingerprint());
  response.set_shard(parts_.shard);
  response.set_shard_count(parts_.plan.shard_count());
  response.set_device(parts_.device_name);
  response.set_first_block(static_cast<int32_t>(blocks.begin));
  response.set_last_block(static_cast<int32_t>(blocks.end));
  response.set_elements(parts_.plan.ShardElements(parts_.shard).size());
  response.set_version_min(stats.version_min);
  response.set_version_max(stats.version_max);
  FillMemory(stats, *response.mutable_memory());
  FillTraffic(stats, parts_.parameters.pulled_bytes(), response);
  return response;
}

absl::StatusOr<v1::StopJobResponse> AdminHandler::StopJob() {
  if (parts_.coordinator == nullptr) return NotTheCoordinator(parts_.shard);
  TESSERA_RETURN_IF_ERROR(parts_.coordinator->RequestStop());
  return v1::StopJobResponse();
}

}  // namespace tessera
