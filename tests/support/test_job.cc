#include "tests/support/test_job.h"

#include <utility>

#include "absl/strings/substitute.h"
#include "tests/support/status.h"

namespace tessera {
namespace {

constexpr char kJob[] = R"pb(
  name: "test"
  data_set {
    generated_linear {
      features: $0
      train_examples: $1
      test_examples: $2
      noise_stddev: 0.1
    }
  }
  model {
    layers { dense {} }
    loss: LOSS_MEAN_SQUARED_ERROR
  }
  batch_size: $3
  microbatches: $4
  block_bytes: $5
  seed: $6
  stop { steps: $7 }
)pb";

}  // namespace

Job MakeTestJob(const TestJobOptions& options) {
  std::string text = absl::Substitute(
      kJob, options.parameters - 1, options.train_examples,
      options.test_examples,
      options.microbatches * options.samples_per_microbatch,
      options.microbatches, options.block_bytes, options.seed, options.steps);
  absl::SubstituteAndAppend(
      &text,
      "optimizer { $0 } learning_rate { $1 } evaluation { $2 } "
      "wire { $3 }",
      options.optimizer, options.learning_rate, options.evaluation,
      options.wire);
  auto proto = ParseJobText(text);
  REQUIRE_OK(proto);
  const auto facts = FactsOfGeneratedData(*proto);
  REQUIRE_OK(facts);
  REQUIRE_OK(ResolveDataSet(*facts, *proto));
  auto job = Job::Create(*std::move(proto));
  REQUIRE_OK(job);
  return *std::move(job);
}

ShardPlan MakeTestPlan(const Job& job, int shard_count) {
  const auto plan = ShardPlan::Create(job.layout().total_elements(),
                                      shard_count, job.block_bytes());
  REQUIRE_OK(plan);
  return *plan;
}

}  // namespace tessera
