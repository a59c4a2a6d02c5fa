#include "tests/simulation/expected_run.h"

#include "absl/strings/str_cat.h"
#include "server/coordinator/stop_rules.h"
#include "tests/simulation/shard_model.h"
#include "tests/simulation/world.h"

namespace tessera {
namespace {

EvaluationResult ResultAt(const Job& job, int64_t version) {
  const int64_t block_elements = job.block_bytes() / 4;
  const int64_t blocks =
      (job.layout().total_elements() + block_elements - 1) / block_elements;
  std::vector<uint64_t> contents;
  for (int block = 0; block < blocks; ++block) {
    contents.push_back(ShardModel::Content(job, block, version));
  }
  double loss_sum = 0;
  int64_t correct = 0;
  for (int chunk = 0; chunk < job.evaluation_chunks(); ++chunk) {
    const ChunkScore score = ScoreOf(job, version, chunk, contents);
    loss_sum += score.loss_sum;
    correct += score.correct;
  }
  const auto examples =
      static_cast<double>(job.proto().data_set().test_examples());
  return {.loss = loss_sum / examples,
          .accuracy = static_cast<double>(correct) / examples};
}

std::string StepsDifference(const v1::GetStatusResponse& status) {
  if (status.steps_size() < status.steps_done()) {
    return absl::StrCat(status.steps_size(), " step records of ",
                        status.steps_done(), " steps");
  }
  for (int i = 0; i < status.steps_size(); ++i) {
    if (status.steps(i).step() != i || status.steps(i).loss() != StepLoss(i)) {
      return absl::StrCat("step record ", i, " is ",
                          status.steps(i).ShortDebugString());
    }
  }
  return "";
}

std::string EvaluationsDifference(const ExpectedRun& expected,
                                  const v1::GetStatusResponse& status) {
  for (int i = 0; i < status.evaluations_size(); ++i) {
    const v1::EvaluationRecord& record = status.evaluations(i);
    const auto index = static_cast<size_t>(i);
    const bool is_due = index < expected.evaluated.size() &&
                        record.version() == expected.evaluated[index];
    if (!is_due && record.version() != status.steps_done()) {
      return absl::StrCat("evaluation ", i, " is of version ",
                          record.version());
    }
    const EvaluationResult& result =
        expected.results.at(static_cast<size_t>(record.version()));
    if (record.loss() != result.loss || record.accuracy() != result.accuracy) {
      return absl::StrCat("evaluation of version ", record.version(), " is ",
                          record.loss(), ", ", record.accuracy(), ", not ",
                          result.loss, ", ", result.accuracy);
    }
  }
  return "";
}

}  // namespace

ExpectedRun ExpectedRunOf(const Job& job) {
  ExpectedRun expected;
  StopRules rules(job.proto().stop(), job.max_steps());
  for (int64_t v = 0; v <= job.max_steps(); ++v) {
    const EvaluationResult result = ResultAt(job, v);
    expected.results.push_back(result);
    const bool due =
        v > 0 && (v % job.evaluation_interval() == 0 || v == job.max_steps());
    if (!due || expected.end_reason != v1::END_REASON_UNSPECIFIED) continue;
    expected.evaluated.push_back(v);
    expected.last_version = v;
    expected.end_reason = rules.AfterEvaluation(v, result);
  }
  return expected;
}

std::string DifferenceFrom(const ExpectedRun& expected,
                           const v1::GetStatusResponse& status) {
  std::string difference = EvaluationsDifference(expected, status);
  if (difference.empty()) difference = StepsDifference(status);
  if (!difference.empty()) return difference;
  if (status.end_reason() == v1::END_REASON_STOPPED) {
    return status.steps_done() <= expected.last_version
               ? ""
               : "a stop made the job longer";
  }
  if (status.end_reason() != expected.end_reason ||
      status.steps_done() != expected.last_version ||
      status.evaluations_size() !=
          static_cast<int>(expected.evaluated.size())) {
    return absl::StrCat("ended at version ", status.steps_done(), " after ",
                        status.evaluations_size(), " evaluations (",
                        v1::EndReason_Name(status.end_reason()), "), not at ",
                        expected.last_version, " after ",
                        expected.evaluated.size(), " (",
                        v1::EndReason_Name(expected.end_reason), ")");
  }
  return "";
}

}  // namespace tessera
