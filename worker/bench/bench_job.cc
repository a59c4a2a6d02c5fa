#include "worker/bench/bench_job.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "worker/bench/closed_form.h"

namespace tessera::bench {
namespace {

// Of a dense layer: inputs and the bias.
constexpr int64_t kMaxRow = 1 << 16;
constexpr int64_t kSteps = int64_t{1} << 40;

// The largest divisor of `elements` that is a layer's row.
int64_t RowOf(int64_t elements) {
  for (int64_t row = std::min(elements, kMaxRow); row > 2; --row) {
    if (elements % row == 0) return row;
  }
  return 2;
}

bool IsPowerOfTwo(float value) {
  int exponent = 0;
  return value > 0 && std::frexp(value, &exponent) == 0.5f;
}

}  // namespace

absl::StatusOr<Job> MakeBenchJob(const Setting& setting) {
  const int64_t row = RowOf(setting.elements());
  const int microbatches = MicrobatchesFor(setting.shape.workers);
  v1::Job job;
  job.set_name(kJobName);
  auto& linear = *job.mutable_data_set()->mutable_generated_linear();
  linear.set_features(static_cast<int>(row - 1));
  linear.set_outputs(static_cast<int>(setting.elements() / row));
  linear.set_train_examples(microbatches);
  linear.set_test_examples(1);
  job.mutable_model()->add_layers()->mutable_dense();
  job.mutable_model()->set_loss(v1::LOSS_MEAN_SQUARED_ERROR);
  job.set_batch_size(microbatches);
  job.set_microbatches(microbatches);
  job.mutable_optimizer()->mutable_sgd();
  job.mutable_learning_rate()->set_base(kLearningRate);
  job.set_block_bytes(setting.message_bytes);
  job.mutable_stop()->set_steps(kSteps);
  job.mutable_evaluation()->set_every_steps(kSteps);
  job.mutable_wire()->set_push(setting.encoding);
  job.mutable_wire()->set_pull(setting.encoding);
  const auto facts = FactsOfGeneratedData(job);
  if (!facts.ok()) return facts.status();
  const absl::Status resolved = ResolveDataSet(*facts, job);
  if (!resolved.ok()) return resolved;
  auto result = Job::Create(std::move(job));
  if (!result.ok()) return result.status();
  if (result->layout().total_elements() != setting.elements()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "no linear model has exactly ", setting.elements(), " parameters"));
  }
  return result;
}

absl::Status CheckClosedForm(const Job& job, int workers) {
  const v1::Job& proto = job.proto();
  const auto bad = [](absl::string_view what) {
    return absl::FailedPreconditionError(
        absl::StrCat("the servers' job ", what));
  };
  if (!proto.optimizer().has_sgd() || proto.optimizer().sgd().momentum() > 0) {
    return bad("must use sgd {} without momentum");
  }
  if (proto.optimizer().weight_decay() > 0 ||
      proto.optimizer().clip_element() > 0) {
    return bad("must have no weight decay and no clipping");
  }
  const v1::LearningRate& rate = proto.learning_rate();
  if (!IsPowerOfTwo(rate.base()) || rate.warmup_steps() > 0 ||
      rate.has_step() || rate.has_cosine()) {
    return bad("must have a constant learning rate that is a power of two");
  }
  if (job.push_encoding() != job.pull_encoding()) {
    return bad("must use one encoding for both directions");
  }
  if (job.microbatches() != MicrobatchesFor(workers)) {
    return bad(absl::StrCat("has ", job.microbatches(), " microbatches, so ",
                            "use as many workers"));
  }
  return absl::OkStatus();
}

}  // namespace tessera::bench
