// A tiny, valid job, from knobs: for tests that need some job, not a certain
// one.

#ifndef TESSERA_TESTS_SUPPORT_TEST_JOB_H_
#define TESSERA_TESTS_SUPPORT_TEST_JOB_H_

#include <cstdint>
#include <string>

#include "common/job/job.h"
#include "common/plan/shard_plan.h"

namespace tessera {

struct TestJobOptions {
  // In the flat vector: one dense layer of parameters - 1 weights and a bias.
  // From 2 to 65537.
  int parameters = 10;
  int microbatches = 2;
  int samples_per_microbatch = 1;
  int64_t block_bytes = 64;
  uint64_t seed = 1;
  int64_t steps = 1000;
  int64_t train_examples = 4096;
  int64_t test_examples = 64;
  // Bodies of the job file's messages.
  std::string optimizer = "sgd {}";
  std::string learning_rate = "base: 0.1";
  std::string evaluation = "";
  std::string wire = "";
};

// Linear regression on generated data, so that nothing is read. Fails the test
// when the options make no valid job.
Job MakeTestJob(const TestJobOptions& options = {});

// The job's own plan for so many servers.
ShardPlan MakeTestPlan(const Job& job, int shard_count);

}  // namespace tessera

#endif  // TESSERA_TESTS_SUPPORT_TEST_JOB_H_
