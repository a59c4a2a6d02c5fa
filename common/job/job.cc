#include "common/job/job.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/job/identity.h"
#include "common/wire/encoding.h"

namespace tessera {
namespace {

constexpr int64_t kDefaultBlockBytes = int64_t{1} << 20;
constexpr int64_t kMaxBlockBytes = int64_t{64} << 20;
constexpr int kDefaultChunkExamples = 500;
constexpr int kMaxMicrobatches = 1 << 16;
constexpr int64_t kMaxSteps = int64_t{1} << 40;
constexpr double kDefaultCheckpointSeconds = 60;
constexpr int kDefaultCheckpointsKept = 3;
constexpr double kDefaultReportSeconds = 10;
constexpr double kMaxSeconds = 1e9;

// "field value is not what".
template <typename Value>
absl::Status Bad(absl::string_view field, const Value& value,
                 absl::string_view wanted) {
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": ", value, " is not ", wanted));
}

absl::Status CheckDataSet(const v1::DataSet& data, int batch_size) {
  if (data.source_case() == v1::DataSet::SOURCE_NOT_SET) {
    return absl::InvalidArgumentError(
        "data_set has no source: set idx or generated_linear");
  }
  if (data.has_idx() && !(data.idx().stddev() > 0)) {
    return Bad("data_set.idx.stddev", data.idx().stddev(), "above 0");
  }
  if (data.has_idx() && !std::isfinite(data.idx().mean())) {
    return Bad("data_set.idx.mean", data.idx().mean(), "a finite number");
  }
  const v1::SampleShape& s = data.sample_shape();
  if (s.height() == 0 || s.width() == 0 || s.channels() == 0 ||
      data.train_examples() == 0 || data.test_examples() == 0) {
    return absl::FailedPreconditionError(
        "data_set: sample_shape and example counts are not known yet; resolve "
        "the job against its data first (tessera_launch does, and "
        "tessera_launch --resolve_only writes the resolved job)");
  }
  for (int dimension : {s.height(), s.width(), s.channels()}) {
    if (dimension < 1 || dimension > 1 << 16) {
      return Bad("data_set.sample_shape", dimension, "from 1 to 65536");
    }
  }
  if (data.classes() < 0) {
    return Bad("data_set.classes", data.classes(), "0 or more");
  }
  if (data.test_examples() < 1 || data.test_examples() > 1 << 30) {
    return Bad("data_set.test_examples", data.test_examples(),
               "from 1 to 2^30");
  }
  if (data.train_examples() < batch_size || data.train_examples() > 1 << 30) {
    return Bad("data_set.train_examples", data.train_examples(),
               absl::StrCat("from batch_size (", batch_size, ") to 2^30"));
  }
  return absl::OkStatus();
}

absl::Status CheckSizes(const v1::Job& job) {
  if (job.batch_size() < 1) {
    return Bad("batch_size", job.batch_size(), "at least 1");
  }
  if (job.microbatches() < 1 || job.microbatches() > kMaxMicrobatches) {
    return Bad("microbatches", job.microbatches(),
               absl::StrCat("from 1 to ", kMaxMicrobatches));
  }
  if (job.batch_size() % job.microbatches() != 0) {
    return Bad(
        "microbatches", job.microbatches(),
        absl::StrCat("a divisor of batch_size (", job.batch_size(), ")"));
  }
  if (job.block_bytes() < 64 || job.block_bytes() > kMaxBlockBytes ||
      job.block_bytes() % 64 != 0) {
    return Bad("block_bytes", job.block_bytes(),
               absl::StrCat("a multiple of 64 from 64 to ", kMaxBlockBytes));
  }
  return absl::OkStatus();
}

absl::Status CheckOptimizer(const v1::Optimizer& optimizer) {
  if (optimizer.kind_case() == v1::Optimizer::KIND_NOT_SET) {
    return absl::InvalidArgumentError(
        "optimizer has no kind: set sgd {} or adamw {}");
  }
  const float momentum = optimizer.sgd().momentum();
  if (!(momentum >= 0 && momentum < 1)) {
    return Bad("optimizer.sgd.momentum", momentum, "in [0, 1)");
  }
  if (optimizer.sgd().nesterov() && momentum == 0) {
    return Bad("optimizer.sgd.momentum", momentum,
               "above 0, as nesterov needs");
  }
  if (optimizer.has_adamw()) {
    const v1::AdamW& adamw = optimizer.adamw();
    if (!(adamw.beta1() >= 0 && adamw.beta1() < 1)) {
      return Bad("optimizer.adamw.beta1", adamw.beta1(), "in [0, 1)");
    }
    if (!(adamw.beta2() >= 0 && adamw.beta2() < 1)) {
      return Bad("optimizer.adamw.beta2", adamw.beta2(), "in [0, 1)");
    }
    if (!(adamw.epsilon() > 0 && std::isfinite(adamw.epsilon()))) {
      return Bad("optimizer.adamw.epsilon", adamw.epsilon(),
                 "a finite number above 0");
    }
  }
  for (const auto& [field, value] :
       {std::pair("optimizer.weight_decay", optimizer.weight_decay()),
        std::pair("optimizer.clip_element", optimizer.clip_element())}) {
    if (!(value >= 0 && std::isfinite(value))) {
      return Bad(field, value, "a finite number of at least 0");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckLearningRate(const v1::LearningRate& rate) {
  if (!(rate.base() > 0 && std::isfinite(rate.base()))) {
    return Bad("learning_rate.base", rate.base(), "a finite number above 0");
  }
  if (rate.warmup_steps() < 0) {
    return Bad("learning_rate.warmup_steps", rate.warmup_steps(), "at least 0");
  }
  if (rate.has_step()) {
    if (rate.step().every_steps() < 1) {
      return Bad("learning_rate.step.every_steps", rate.step().every_steps(),
                 "at least 1");
    }
    if (!(rate.step().factor() > 0 && rate.step().factor() <= 1)) {
      return Bad("learning_rate.step.factor", rate.step().factor(),
                 "in (0, 1]");
    }
  }
  if (rate.has_cosine()) {
    if (rate.cosine().steps() < 1) {
      return Bad("learning_rate.cosine.steps", rate.cosine().steps(),
                 "at least 1");
    }
    if (!(rate.cosine().final() >= 0 && rate.cosine().final() <= rate.base())) {
      return Bad("learning_rate.cosine.final", rate.cosine().final(),
                 absl::StrCat("from 0 to base (", rate.base(), ")"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckStop(const v1::Stop& stop, int classes) {
  if (stop.steps() < 0 || stop.steps() > kMaxSteps) {
    return Bad("stop.steps", stop.steps(), "from 0 to 2^40");
  }
  if (stop.epochs() < 0 || stop.epochs() > kMaxSteps) {
    return Bad("stop.epochs", stop.epochs(), "from 0 to 2^40");
  }
  if (stop.steps() == 0 && stop.epochs() == 0) {
    return absl::InvalidArgumentError(
        "stop: set steps or epochs, so that the job is sure to end");
  }
  if (!(stop.target_accuracy() >= 0 && stop.target_accuracy() <= 1)) {
    return Bad("stop.target_accuracy", stop.target_accuracy(), "in [0, 1]");
  }
  if (stop.target_accuracy() > 0 && classes == 0) {
    return Bad("stop.target_accuracy", stop.target_accuracy(),
               "0, as regression has no accuracy");
  }
  if (!(stop.target_loss() >= 0 && std::isfinite(stop.target_loss()))) {
    return Bad("stop.target_loss", stop.target_loss(), "at least 0");
  }
  if (stop.has_plateau()) {
    if (stop.plateau().evaluations() < 1) {
      return Bad("stop.plateau.evaluations", stop.plateau().evaluations(),
                 "at least 1");
    }
    if (!(stop.plateau().min_improvement() >= 0)) {
      return Bad("stop.plateau.min_improvement",
                 stop.plateau().min_improvement(), "at least 0");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckEvaluation(const v1::Evaluation& evaluation) {
  if (evaluation.every_steps() < 1) {
    return Bad("evaluation.every_steps", evaluation.every_steps(),
               "at least 1 (or 0 for once an epoch)");
  }
  if (evaluation.chunk_examples() < 1) {
    return Bad("evaluation.chunk_examples", evaluation.chunk_examples(),
               "at least 1");
  }
  return absl::OkStatus();
}

absl::Status CheckWire(const v1::Wire& wire) {
  for (const auto& [field, value] : {std::pair("wire.push", wire.push()),
                                     std::pair("wire.pull", wire.pull())}) {
    if (BytesPerValue(value) == 0) {
      return Bad(field, static_cast<int>(value),
                 "ENCODING_FLOAT32 or ENCODING_BFLOAT16");
    }
  }
  return absl::OkStatus();
}

int64_t StepsPerEpoch(const v1::Job& job) {
  return job.data_set().train_examples() / job.batch_size();
}

int64_t MaxSteps(const v1::Job& job) {
  const int64_t of_epochs =
      job.stop().epochs() == 0
          ? kMaxSteps
          : std::min(job.stop().epochs(), kMaxSteps / StepsPerEpoch(job)) *
                StepsPerEpoch(job);
  return job.stop().steps() == 0 ? of_epochs
                                 : std::min(job.stop().steps(), of_epochs);
}

void FillDefaultsThatNeedNoData(v1::Job& job) {
  if (job.block_bytes() == 0) job.set_block_bytes(kDefaultBlockBytes);
  if (job.data_set().has_idx() && job.data_set().idx().stddev() == 0) {
    job.mutable_data_set()->mutable_idx()->set_stddev(1);
  }
  if (job.optimizer().has_adamw()) {
    v1::AdamW& adamw = *job.mutable_optimizer()->mutable_adamw();
    if (adamw.beta1() == 0) adamw.set_beta1(0.9f);
    if (adamw.beta2() == 0) adamw.set_beta2(0.999f);
    if (adamw.epsilon() == 0) adamw.set_epsilon(1e-8f);
  }
  v1::Wire& wire = *job.mutable_wire();
  if (wire.push() == v1::ENCODING_UNSPECIFIED) {
    wire.set_push(v1::ENCODING_FLOAT32);
  }
  if (wire.pull() == v1::ENCODING_UNSPECIFIED) {
    wire.set_pull(v1::ENCODING_FLOAT32);
  }
  if (job.evaluation().chunk_examples() == 0) {
    job.mutable_evaluation()->set_chunk_examples(kDefaultChunkExamples);
  }
}

// Those that follow from the length of an epoch.
void FillDefaultsInSteps(v1::Job& job) {
  if (job.evaluation().every_steps() == 0) {
    job.mutable_evaluation()->set_every_steps(StepsPerEpoch(job));
  }
  if (job.learning_rate().has_cosine() &&
      job.learning_rate().cosine().steps() == 0) {
    job.mutable_learning_rate()->mutable_cosine()->set_steps(MaxSteps(job));
  }
}

absl::Status CheckSeconds(absl::string_view field, double seconds) {
  if (seconds >= 0 && seconds <= kMaxSeconds) return absl::OkStatus();
  return Bad(field, seconds, "from 0 to 1e9");
}

absl::Status CheckOperation(const v1::Operation& operation) {
  const v1::CheckpointPolicy& checkpoint = operation.checkpoint();
  if (checkpoint.every_steps() < 0) {
    return Bad("operation.checkpoint.every_steps", checkpoint.every_steps(),
               "at least 0");
  }
  if (checkpoint.keep() < 1) {
    return Bad("operation.checkpoint.keep", checkpoint.keep(), "at least 1");
  }
  if (checkpoint.bytes_per_second() < 0) {
    return Bad("operation.checkpoint.bytes_per_second",
               checkpoint.bytes_per_second(), "at least 0");
  }
  TESSERA_RETURN_IF_ERROR(CheckSeconds("operation.checkpoint.every_seconds",
                                       checkpoint.every_seconds()));
  TESSERA_RETURN_IF_ERROR(
      CheckSeconds("operation.wait.report_after_seconds",
                   operation.wait().report_after_seconds()));
  return CheckSeconds("operation.wait.stop_after_seconds",
                      operation.wait().stop_after_seconds());
}

void FillOperationDefaults(v1::Operation& operation) {
  v1::CheckpointPolicy& checkpoint = *operation.mutable_checkpoint();
  if (checkpoint.every_steps() == 0 && checkpoint.every_seconds() == 0) {
    checkpoint.set_every_seconds(kDefaultCheckpointSeconds);
  }
  if (checkpoint.keep() == 0) checkpoint.set_keep(kDefaultCheckpointsKept);
  v1::WaitPolicy& wait = *operation.mutable_wait();
  if (wait.report_after_seconds() == 0) {
    wait.set_report_after_seconds(kDefaultReportSeconds);
  }
}

// Keeps the parser's messages, with the place of each.
class ErrorCollector : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, int column, const std::string& message) override {
    absl::StrAppend(&errors_, errors_.empty() ? "" : "; ", "line ", line + 1,
                    ", column ", column + 1, ": ", message);
  }
  const std::string& errors() const { return errors_; }

 private:
  std::string errors_;
};

// Takes `found` where `field` is 0; refuses a difference.
template <typename Value, typename Set>
absl::Status Reconcile(absl::string_view name, Value field, Value found,
                       Set set) {
  if (field != 0 && field != found) {
    return absl::InvalidArgumentError(absl::StrCat(
        "data_set.", name, ": the job says ", field, " where the data has ",
        found, "; leave it out or mend it"));
  }
  set(found);
  return absl::OkStatus();
}

}  // namespace

Job::Job(v1::Job proto, ModelPlan model, uint64_t fingerprint)
    : proto_(std::move(proto)),
      model_(std::move(model)),
      fingerprint_(fingerprint),
      tree_(proto_.microbatches()) {}

absl::StatusOr<Job> Job::Create(v1::Job proto) {
  FillDefaultsThatNeedNoData(proto);
  FillOperationDefaults(*proto.mutable_operation());
  TESSERA_RETURN_IF_ERROR(CheckSizes(proto));
  TESSERA_RETURN_IF_ERROR(CheckDataSet(proto.data_set(), proto.batch_size()));
  TESSERA_RETURN_IF_ERROR(CheckOptimizer(proto.optimizer()));
  TESSERA_RETURN_IF_ERROR(CheckWire(proto.wire()));
  TESSERA_RETURN_IF_ERROR(CheckStop(proto.stop(), proto.data_set().classes()));
  FillDefaultsInSteps(proto);
  TESSERA_RETURN_IF_ERROR(CheckLearningRate(proto.learning_rate()));
  TESSERA_RETURN_IF_ERROR(CheckEvaluation(proto.evaluation()));
  TESSERA_RETURN_IF_ERROR(CheckOperation(proto.operation()));
  TESSERA_ASSIGN_OR_RETURN(ModelPlan model, PlanModel(proto));
  for (size_t i = 0; i < model.layers.size(); ++i) {
    *proto.mutable_model()->mutable_layers(static_cast<int>(i)) =
        model.layers[i].layer;
  }
  const uint64_t fingerprint = FingerprintOfSerialized(SerializeJob(proto));
  return Job(std::move(proto), std::move(model), fingerprint);
}

int64_t Job::steps_per_epoch() const { return StepsPerEpoch(proto_); }

int64_t Job::max_steps() const { return MaxSteps(proto_); }

int64_t Job::evaluation_interval() const {
  return proto_.evaluation().every_steps();
}

int Job::evaluation_chunks() const {
  const int64_t examples = proto_.data_set().test_examples();
  return static_cast<int>((examples + chunk_examples() - 1) / chunk_examples());
}

absl::StatusOr<v1::Job> ParseJobText(absl::string_view text) {
  v1::Job job;
  ErrorCollector errors;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&errors);
  if (!parser.ParseFromString(std::string(text), &job)) {
    return absl::InvalidArgumentError(errors.errors());
  }
  // The text format takes any bytes, the wire only UTF-8.
  v1::Job received;
  if (!received.ParseFromString(job.SerializeAsString())) {
    return absl::InvalidArgumentError("names and paths must be UTF-8");
  }
  return job;
}

absl::StatusOr<v1::Job> LoadJobFile(const std::string& path) {
  TESSERA_ASSIGN_OR_RETURN(std::string text, ReadFile(path));
  absl::StatusOr<v1::Job> job = ParseJobText(text);
  if (!job.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("job file ", path, ": ", job.status().message()));
  }
  return job;
}

absl::Status ResolveDataSet(const DataSetFacts& facts, v1::Job& job) {
  v1::DataSet data = job.data_set();
  v1::SampleShape& shape = *data.mutable_sample_shape();
  TESSERA_RETURN_IF_ERROR(Reconcile(
      "sample_shape.height", shape.height(), facts.sample_shape.height(),
      [&](int32_t value) { shape.set_height(value); }));
  TESSERA_RETURN_IF_ERROR(
      Reconcile("sample_shape.width", shape.width(), facts.sample_shape.width(),
                [&](int32_t value) { shape.set_width(value); }));
  TESSERA_RETURN_IF_ERROR(Reconcile(
      "sample_shape.channels", shape.channels(), facts.sample_shape.channels(),
      [&](int32_t value) { shape.set_channels(value); }));
  TESSERA_RETURN_IF_ERROR(
      Reconcile("classes", data.classes(), int32_t{facts.classes},
                [&](int32_t value) { data.set_classes(value); }));
  TESSERA_RETURN_IF_ERROR(
      Reconcile("train_examples", data.train_examples(), facts.train_examples,
                [&](int64_t value) { data.set_train_examples(value); }));
  TESSERA_RETURN_IF_ERROR(
      Reconcile("test_examples", data.test_examples(), facts.test_examples,
                [&](int64_t value) { data.set_test_examples(value); }));
  *job.mutable_data_set() = std::move(data);
  return absl::OkStatus();
}

absl::StatusOr<DataSetFacts> FactsOfGeneratedData(const v1::Job& job) {
  if (!job.data_set().has_generated_linear()) {
    return absl::FailedPreconditionError("the data set is not generated");
  }
  const v1::GeneratedLinear& linear = job.data_set().generated_linear();
  constexpr absl::string_view kField = "data_set.generated_linear.";
  if (linear.features() < 1 || linear.features() > 1 << 16) {
    return Bad(absl::StrCat(kField, "features"), linear.features(),
               "from 1 to 65536");
  }
  if (linear.outputs() < 0 || linear.outputs() > 1 << 16) {
    return Bad(absl::StrCat(kField, "outputs"), linear.outputs(),
               "from 0 to 65536");
  }
  if (linear.train_examples() < 1 || linear.test_examples() < 1) {
    return Bad(absl::StrCat(kField, "train_examples or test_examples"),
               std::min(linear.train_examples(), linear.test_examples()),
               "at least 1");
  }
  if (!(linear.noise_stddev() >= 0 && std::isfinite(linear.noise_stddev()))) {
    return Bad(absl::StrCat(kField, "noise_stddev"), linear.noise_stddev(),
               "at least 0");
  }
  DataSetFacts facts{.sample_shape = {},
                     .classes = 0,
                     .train_examples = linear.train_examples(),
                     .test_examples = linear.test_examples()};
  facts.sample_shape.set_height(1);
  facts.sample_shape.set_width(1);
  facts.sample_shape.set_channels(linear.features());
  return facts;
}

std::string FormatJobText(const v1::Job& job) {
  std::string text;
  google::protobuf::TextFormat::PrintToString(job, &text);
  return text;
}

}  // namespace tessera
