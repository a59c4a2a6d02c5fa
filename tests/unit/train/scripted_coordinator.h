// A coordinator that says what a test wants it to say.

#ifndef TESSERA_TESTS_UNIT_TRAIN_SCRIPTED_COORDINATOR_H_
#define TESSERA_TESTS_UNIT_TRAIN_SCRIPTED_COORDINATOR_H_

#include <functional>
#include <memory>

#include "worker/client/coordinator_client.h"

namespace tessera {

// What is asked of it goes to these, on the caller's thread; set before the
// first call. Clones ask the same functions.
struct CoordinatorScript {
  std::function<absl::StatusOr<v1::GetWorkResponse>(const v1::GetWorkRequest&)>
      get_work;
  std::function<absl::StatusOr<v1::RenewResponse>(const v1::RenewRequest&)>
      renew = [](const auto&) { return v1::RenewResponse(); };
  std::function<void()> cancel = [] {};
};

class ScriptedCoordinator : public CoordinatorClient {
 public:
  explicit ScriptedCoordinator(const CoordinatorScript& script)
      : script_(script) {}

  absl::StatusOr<v1::GetWorkResponse> GetWork(
      const v1::GetWorkRequest& request) override {
    return script_.get_work(request);
  }
  absl::StatusOr<v1::RenewResponse> Renew(
      const v1::RenewRequest& request) override {
    return script_.renew(request);
  }
  absl::StatusOr<v1::ReportEvaluationResponse> ReportEvaluation(
      const v1::ReportEvaluationRequest&) override {
    return v1::ReportEvaluationResponse();
  }
  absl::StatusOr<v1::JoinResponse> Join(const v1::JoinRequest&) override {
    return absl::UnimplementedError("no part of the script");
  }
  absl::StatusOr<v1::LeaveResponse> Leave(const v1::LeaveRequest&) override {
    return v1::LeaveResponse();
  }
  absl::StatusOr<v1::GetStatusResponse> GetStatus() override {
    return absl::UnimplementedError("no part of the script");
  }
  absl::StatusOr<v1::StopJobResponse> StopJob(
      const v1::StopJobRequest&) override {
    return absl::UnimplementedError("no part of the script");
  }
  std::unique_ptr<CoordinatorClient> Clone() const override {
    return std::make_unique<ScriptedCoordinator>(script_);
  }
  void Cancel() override { script_.cancel(); }

 private:
  const CoordinatorScript& script_;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_UNIT_TRAIN_SCRIPTED_COORDINATOR_H_
