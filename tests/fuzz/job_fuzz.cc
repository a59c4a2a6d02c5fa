// Reads job files: what a user may write, and everything that a job's numbers
// lead to.

#include <string>

#include "absl/strings/string_view.h"
#include "common/base/check.h"
#include "common/job/job.h"
#include "common/plan/shard_plan.h"
#include "tests/fuzz/fuzz_target.h"

namespace tessera {
namespace {

// Of images, as a data set might say.
DataSetFacts SomeFacts() {
  DataSetFacts facts{.sample_shape = {},
                     .classes = 10,
                     .train_examples = 60000,
                     .test_examples = 10000};
  facts.sample_shape.set_height(28);
  facts.sample_shape.set_width(28);
  facts.sample_shape.set_channels(1);
  return facts;
}

void CheckText(const v1::Job& job) {
  const std::string text = FormatJobText(job);
  const auto again = ParseJobText(text);
  TESSERA_CHECK(again.ok());
  TESSERA_CHECK(FormatJobText(*again) == text);
}

// A job that was accepted must hold what its users build on.
void CheckJob(const Job& job) {
  TESSERA_CHECK(job.batch_size() >= 1 && job.microbatch_size() >= 1);
  TESSERA_CHECK(job.microbatch_size() * job.microbatches() == job.batch_size());
  TESSERA_CHECK(job.steps_per_epoch() >= 1 && job.max_steps() >= 1);
  TESSERA_CHECK(job.evaluation_interval() >= 1);
  TESSERA_CHECK(job.evaluation_chunks() >= 1 && job.chunk_examples() >= 1);
  for (const LayerPlan& layer : job.model().layers) {
    TESSERA_CHECK(layer.input.size() >= 1 && layer.output.size() >= 1);
    TESSERA_CHECK(layer.input.size() < int64_t{1} << 31);
    TESSERA_CHECK(layer.output.size() < int64_t{1} << 31);
  }
  for (int servers : {1, 3, 1000}) {
    const auto plan = ShardPlan::Create(job.layout().total_elements(), servers,
                                        job.block_bytes());
    if (plan.ok()) TESSERA_CHECK(plan->shard_count() == servers);
  }
  // Written out and read again, as the launcher and the servers do.
  const auto again = ParseJobText(FormatJobText(job.proto()));
  TESSERA_CHECK(again.ok());
  const auto same = Job::Create(*again);
  TESSERA_CHECK(same.ok());
  TESSERA_CHECK(same->fingerprint() == job.fingerprint());
}

void Check(absl::string_view text) {
  auto job = ParseJobText(text);
  if (!job.ok()) {
    TESSERA_CHECK(absl::IsInvalidArgument(job.status()));
    return;
  }
  CheckText(*job);
  const auto generated = FactsOfGeneratedData(*job);
  const DataSetFacts facts = generated.ok() ? *generated : SomeFacts();
  // Servers meet jobs that nobody resolved.
  const auto unresolved = Job::Create(*job);
  if (unresolved.ok()) CheckJob(*unresolved);
  if (!ResolveDataSet(facts, *job).ok()) return;
  const auto resolved = Job::Create(*job);
  if (resolved.ok()) CheckJob(*resolved);
}

}  // namespace
}  // namespace tessera

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tessera::Check({reinterpret_cast<const char*>(data), size});
  return 0;
}
