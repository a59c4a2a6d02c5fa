// A coordinator under test, its clock, and what workers do in one line.

#ifndef TESSERA_TESTS_UNIT_COORDINATOR_COORDINATOR_FIXTURE_H_
#define TESSERA_TESTS_UNIT_COORDINATOR_COORDINATOR_FIXTURE_H_

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/coordinator/coordinator.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"

namespace tessera {

class CoordinatorFixture {
 public:
  static constexpr absl::Duration kLease = absl::Seconds(10);

  explicit CoordinatorFixture(const TestJobOptions& options,
                              const v1::Stop& extra_stop = {},
                              const v1::Operation& operation = {},
                              const CoordinatorOptions& servers = {})
      : job(MakeJob(options, extra_stop, operation)),
        coordinator(Coordinator::Create(job, Complete(servers))) {}

  static CoordinatorOptions Complete(CoordinatorOptions options) {
    options.lease = kLease;
    options.first_worker_id = 1;
    options.shard_count = 2;
    return options;
  }

  WorkerId Join(const std::string& label = "worker") {
    auto worker = coordinator->Join(label, now);
    REQUIRE_OK(worker);
    return *worker;
  }

  // The answer to a request for work, in words: "step 2 [0, 4)", "evaluation of
  // 4, chunks [0, 2)", "none", "end STEPS", or the error's code.
  std::string Ask(WorkerId worker, const WorkReport& report) {
    const auto grant = coordinator->GetWork(worker, report, now);
    if (!grant.ok()) return absl::StatusCodeToString(grant.status().code());
    if (const auto* train = std::get_if<TrainGrant>(&*grant)) {
      return absl::StrCat("step ", train->step, " ", ToString(train->range));
    }
    if (const auto* e = std::get_if<EvaluateGrant>(&*grant)) {
      return absl::StrCat("evaluation of ", e->version, ", chunks [",
                          e->chunk_begin, ", ", e->chunk_end, ")");
    }
    if (const auto* end = std::get_if<EndGrant>(&*grant)) {
      return "end " +
             v1::EndReason_Name(end->reason).substr(sizeof("END_REASON"));
    }
    return "none";
  }
  std::string Ask(WorkerId worker, int64_t have_version = -1) {
    return Ask(worker, WorkReport{.have_version = have_version});
  }

  bool Recalled(WorkerId worker) {
    const auto recall = coordinator->Renew(worker, 0, now);
    REQUIRE_OK(recall);
    return *recall;
  }

  // Scores chunks [begin, end), each with this loss and number correct.
  absl::Status Report(WorkerId worker, int64_t version, int begin, int end,
                      double loss_sum = 1, int64_t correct = 0) {
    const std::vector<ChunkScore> scores(
        static_cast<size_t>(end - begin),
        {.loss_sum = loss_sum, .correct = correct});
    return coordinator->ReportEvaluation(worker, 0, version, begin, scores,
                                         now);
  }

  v1::GetStatusResponse Status() const { return coordinator->Status(now); }

  const Job job;
  std::unique_ptr<Coordinator> coordinator;
  absl::Time now = absl::FromUnixSeconds(1000);

 private:
  static Job MakeJob(const TestJobOptions& options, const v1::Stop& extra,
                     const v1::Operation& operation) {
    v1::Job proto = MakeTestJob(options).proto();
    *proto.mutable_operation() = operation;
    proto.mutable_stop()->MergeFrom(extra);
    return *Job::Create(std::move(proto));
  }
};

}  // namespace tessera

#endif  // TESSERA_TESTS_UNIT_COORDINATOR_COORDINATOR_FIXTURE_H_
