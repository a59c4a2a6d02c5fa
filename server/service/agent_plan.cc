#include "server/service/agent_plan.h"

#include <utility>

namespace tessera {

v1::AttendRequest AgentPlan::Request(int64_t wait_ms) const {
  v1::AttendRequest request;
  request.set_job_fingerprint(identity_.job_fingerprint);
  request.set_shard(identity_.shard);
  request.set_shard_count(identity_.shard_count);
  request.set_incarnation(identity_.incarnation);
  request.set_address(identity_.address);
  request.set_generation(generation_);
  request.set_wait_ms(wait_ms);
  request.set_orders_seen(orders_seen_);
  if (restore_failure_.has_value()) {
    *request.mutable_restore_failure() = *restore_failure_;
  }
  if (!capture_.has_value()) return request;
  if (capture_->ready) request.set_capture_ready(capture_->set_id);
  if (capture_->result.has_value()) {
    *request.mutable_capture_result() = *capture_->result;
  }
  return request;
}

RestoreOrder AgentPlan::OrderedRestore() const {
  return {.generation = orders_->generation(),
          .version = orders_->restore().version(),
          .set_id = orders_->restore().set_id()};
}

void AgentPlan::Take(const v1::AttendResponse& orders) {
  orders_ = orders;
  orders_seen_ = orders.orders();
  orders_hold_ = true;
  // A shard that was told to wait for others has let its generation go, and
  // only another can take it up.
  if (generation_ > 0 && orders.generation() == generation_ && !serving_ &&
      !HasFailedIn(generation_)) {
    Fail(OrderedRestore(),
         absl::UnavailableError("the shard has left this generation"));
  }
}

void AgentPlan::OnCoordinatorLost() {
  orders_seen_ = 0;
  orders_hold_ = false;
}

bool AgentPlan::MayAttend() const {
  return !restore_.has_value() || Wants(*restore_);
}

bool AgentPlan::Wants(const RestoreOrder& order) const {
  return orders_hold_ && OrderedRestore() == order;
}

bool AgentPlan::WantsFile(uint64_t set_id) const {
  return capture_.has_value() && capture_->set_id == set_id &&
         orders_.has_value() && orders_->capture().set_id() == set_id &&
         orders_->generation() == capture_->generation;
}

bool AgentPlan::HasFailedIn(int64_t generation) const {
  return restore_failure_.has_value() &&
         restore_failure_->generation() == generation;
}

AgentAction AgentPlan::Next() const {
  if (!orders_.has_value() || restore_.has_value()) return NothingToDo();
  if (capture_.has_value() && !WantsFile(capture_->set_id)) {
    return DropCaptureOrder{capture_->set_id};
  }
  const int64_t wanted = orders_->generation();
  if (wanted == 0) {
    if (serving_) return SuspendOrder();
    return NothingToDo();
  }
  if (wanted > generation_) {
    if (!orders_hold_ || HasFailedIn(wanted)) return NothingToDo();
    return OrderedRestore();
  }
  // What is below is from a coordinator that has not heard of this shard yet.
  if (wanted < generation_ || !serving_ || !orders_->has_capture() ||
      capture_.has_value()) {
    return NothingToDo();
  }
  return CaptureOrder{.generation = generation_,
                      .version = orders_->capture().version(),
                      .set_id = orders_->capture().set_id()};
}

void AgentPlan::OnSuspended() { serving_ = false; }

void AgentPlan::Fail(const RestoreOrder& order, const absl::Status& status) {
  v1::RestoreFailure& failure = restore_failure_.emplace();
  failure.set_generation(order.generation);
  failure.set_set_id(order.set_id);
  failure.set_code(static_cast<int32_t>(status.code()));
  failure.set_message(std::string(status.message()));
  ++revision_;
}

void AgentPlan::OnRestoreBegun(const RestoreOrder& order) {
  restore_ = order;
  serving_ = false;
}

void AgentPlan::OnRestored(const RestoreOrder& order,
                           const absl::Status& status) {
  restore_.reset();
  ++revision_;
  if (status.ok()) {
    generation_ = order.generation;
    serving_ = true;
    restore_failure_.reset();
  } else if (Wants(order)) {
    Fail(order, status);
  }
}

void AgentPlan::OnCaptureBegun(const CaptureOrder& order) {
  capture_ =
      CaptureState{.generation = order.generation, .set_id = order.set_id};
}

void AgentPlan::OnCaptureHeld(uint64_t set_id, const absl::Status& status) {
  if (!capture_.has_value() || capture_->set_id != set_id) return;
  capture_->ready = status.ok();
  ++revision_;
  if (!status.ok()) OnFile(set_id, status);
}

void AgentPlan::OnFile(uint64_t set_id,
                       const absl::StatusOr<v1::CheckpointFile>& file) {
  if (!capture_.has_value() || capture_->set_id != set_id) return;
  v1::CaptureResult& result = capture_->result.emplace();
  result.set_set_id(set_id);
  if (file.ok()) {
    *result.mutable_file() = *file;
  } else {
    result.set_failure(std::string(file.status().message()));
  }
  ++revision_;
}

void AgentPlan::OnCaptureDropped() {
  capture_.reset();
  ++revision_;
}

}  // namespace tessera
