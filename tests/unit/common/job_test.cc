#include "common/job/job.h"

#include <catch2/catch.hpp>
#include <string>

#include "absl/strings/str_replace.h"
#include "tests/support/status.h"

namespace tessera {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// A small convolutional network, resolved.
constexpr char kJob[] = R"pb(
  name: "small"
  data_set {
    idx { directory: "/data" }
    sample_shape { height: 8 width: 8 channels: 1 }
    classes: 3
    train_examples: 100
    test_examples: 30
  }
  model {
    layers { conv2d { filters: 4 kernel: 3 padding: 1 } }
    layers { relu {} }
    layers { max_pool { size: 2 } }
    layers { flatten {} }
    layers { dense { units: 5 } }
    layers { dropout { rate: 0.5 } }
    layers { dense {} }
    loss: LOSS_SOFTMAX_CROSS_ENTROPY
  }
  batch_size: 12
  microbatches: 4
  optimizer { sgd { momentum: 0.9 } }
  learning_rate { base: 0.1 }
  block_bytes: 128
  seed: 1
  stop { epochs: 2 }
)pb";

// kJob with one piece of its text replaced.
absl::StatusOr<Job> With(absl::string_view from, absl::string_view to) {
  const std::string text = absl::StrReplaceAll(kJob, {{from, to}});
  REQUIRE(text != kJob);
  const auto proto = ParseJobText(text);
  REQUIRE_OK(proto);
  return Job::Create(*proto);
}

Job Good() {
  auto job = Job::Create(*ParseJobText(kJob));
  REQUIRE_OK(job);
  return *std::move(job);
}

TEST_CASE("shapes, names and offsets follow from the layers") {
  const Job job = Good();
  const auto& tensors = job.layout().tensors();
  REQUIRE(tensors.size() == 6);
  REQUIRE(tensors[0].name == "conv1.weight");
  REQUIRE(tensors[0].shape == std::vector<int64_t>{4, 1, 3, 3});
  REQUIRE(tensors[1].name == "conv1.bias");
  REQUIRE(tensors[1].offset == 36);
  REQUIRE(tensors[2].name == "dense1.weight");
  REQUIRE(tensors[2].shape == std::vector<int64_t>{5, 64});
  REQUIRE(tensors[4].name == "dense2.weight");
  REQUIRE(tensors[4].shape == std::vector<int64_t>{3, 5});
  REQUIRE(job.layout().total_elements() == 36 + 4 + 320 + 5 + 15 + 3);
  REQUIRE(job.model().layers[2].output == ActivationShape{4, 4, 4});
  REQUIRE(job.model().layers[5].weight == -1);
  REQUIRE(job.model().outputs == 3);
  // Before a ReLU sqrt(6 / fan_in), elsewhere sqrt(3 / fan_in).
  REQUIRE(tensors[0].scale == Approx(std::sqrt(6.0 / 9)));
  REQUIRE(tensors[2].scale == Approx(std::sqrt(3.0 / 64)));
}

TEST_CASE("counts follow from the sizes, the incomplete batch left out") {
  const Job job = Good();
  REQUIRE(job.microbatch_size() == 3);
  REQUIRE(job.steps_per_epoch() == 8);
  REQUIRE(job.max_steps() == 16);
  REQUIRE(job.evaluation_interval() == 8);
  REQUIRE(job.chunk_examples() == 500);
  REQUIRE(job.evaluation_chunks() == 1);
  REQUIRE(With("epochs: 2", "epochs: 2 steps: 5")->max_steps() == 5);
  REQUIRE(With("epochs: 2", "steps: 5")->max_steps() == 5);
}

TEST_CASE("defaults are filled in and make no difference when written out") {
  const Job job = Good();
  REQUIRE(job.proto().model().layers(6).dense().units() == 3);
  REQUIRE(job.proto().model().layers(0).conv2d().stride() == 1);
  REQUIRE(job.proto().data_set().idx().stddev() == 1);
  const auto again = Job::Create(*ParseJobText(FormatJobText(job.proto())));
  REQUIRE_OK(again);
  REQUIRE(again->fingerprint() == job.fingerprint());
  const auto adamw = With("sgd { momentum: 0.9 }", "adamw {}");
  REQUIRE(adamw->proto().optimizer().adamw().beta2() == 0.999f);
  const auto cosine = With("base: 0.1", "base: 0.1 cosine {}");
  REQUIRE(cosine->proto().learning_rate().cosine().steps() == 16);
  REQUIRE(With("block_bytes: 128", "")->block_bytes() == 1 << 20);
}

TEST_CASE("the fingerprint tells jobs apart") {
  REQUIRE(With("seed: 1", "seed: 2")->fingerprint() != Good().fingerprint());
  REQUIRE(Good().fingerprint() == Good().fingerprint());
}

TEST_CASE("values travel as float32 unless the job says otherwise") {
  const Job job = Good();
  REQUIRE(job.push_encoding() == v1::ENCODING_FLOAT32);
  REQUIRE(job.pull_encoding() == v1::ENCODING_FLOAT32);
  REQUIRE_FALSE(job.pushes_single_microbatches());
  // Written out it is the same job.
  REQUIRE(job.proto().wire().push() == v1::ENCODING_FLOAT32);
  REQUIRE(With("seed: 1", "seed: 1 wire { pull: ENCODING_FLOAT32 }")
              ->fingerprint() == job.fingerprint());
}

TEST_CASE("each direction's encoding is a choice by itself, and another job") {
  const auto push = With("seed: 1", "seed: 1 wire { push: ENCODING_BFLOAT16 }");
  REQUIRE_OK(push);
  REQUIRE(push->push_encoding() == v1::ENCODING_BFLOAT16);
  REQUIRE(push->pull_encoding() == v1::ENCODING_FLOAT32);
  REQUIRE(push->pushes_single_microbatches());
  const auto pull = With("seed: 1", "seed: 1 wire { pull: ENCODING_BFLOAT16 }");
  REQUIRE_OK(pull);
  REQUIRE(pull->push_encoding() == v1::ENCODING_FLOAT32);
  REQUIRE(pull->pull_encoding() == v1::ENCODING_BFLOAT16);
  REQUIRE_FALSE(pull->pushes_single_microbatches());
  REQUIRE(push->fingerprint() != Good().fingerprint());
  REQUIRE(pull->fingerprint() != Good().fingerprint());
  REQUIRE(pull->fingerprint() != push->fingerprint());
}

struct Refusal {
  const char* from;
  const char* to;
  // Must all be in the message: the field, the value, what would be right.
  std::vector<std::string> words;
};

TEST_CASE("impossible values are refused with field, value and remedy") {
  const auto refusal = GENERATE(values<Refusal>({
      {"microbatches: 4",
       "microbatches: 5",
       {"microbatches", "5", "divisor of batch_size (12)"}},
      {"microbatches: 4", "microbatches: 0", {"microbatches", "0", "from 1"}},
      {"batch_size: 12", "batch_size: -4", {"batch_size", "-4", "at least 1"}},
      {"train_examples: 100",
       "train_examples: 11",
       {"train_examples", "11", "batch_size (12)"}},
      {"block_bytes: 128",
       "block_bytes: 100",
       {"block_bytes", "100", "multiple of 64"}},
      {"block_bytes: 128",
       "block_bytes: 134217728",
       {"block_bytes", "134217728", "67108864"}},
      {"momentum: 0.9", "momentum: 1", {"momentum", "1", "[0, 1)"}},
      {"momentum: 0.9", "momentum: nan", {"momentum", "nan"}},
      {"momentum: 0.9", "nesterov: true", {"momentum", "nesterov"}},
      {"sgd { momentum: 0.9 }", "", {"optimizer", "sgd", "adamw"}},
      {"sgd { momentum: 0.9 }", "adamw { beta1: 1 }", {"beta1", "[0, 1)"}},
      {"sgd { momentum: 0.9 }", "adamw { epsilon: -1 }", {"epsilon", "-1"}},
      {"sgd {", "weight_decay: -1 sgd {", {"weight_decay", "-1"}},
      {"sgd {", "clip_element: inf sgd {", {"clip_element", "inf"}},
      {"base: 0.1", "", {"learning_rate.base", "0", "above 0"}},
      {"base: 0.1", "base: 1 step { factor: 0.5 }", {"every_steps", "0"}},
      {"base: 0.1", "base: 1 cosine { final: 2 }", {"final", "2", "base (1)"}},
      {"base: 0.1", "base: 1 warmup_steps: -1", {"warmup_steps", "-1"}},
      {"stop { epochs: 2 }", "", {"stop", "steps or epochs"}},
      {"epochs: 2",
       "epochs: 2 target_accuracy: 1.5",
       {"target_accuracy", "1.5", "[0, 1]"}},
      {"epochs: 2", "epochs: 2 plateau {}", {"plateau.evaluations", "0"}},
      {"rate: 0.5", "rate: 1", {"dropout1", "rate", "1", "[0, 1)"}},
      {"size: 2", "size: 9", {"pool1", "size", "9", "8x8x4"}},
      {"size: 2", "size: 2 stride: -1", {"pool1", "stride", "-1"}},
      {"kernel: 3", "kernel: 11", {"conv1", "kernel", "11", "8x8x1"}},
      {"padding: 1", "padding: 3", {"conv1", "padding", "3", "(2)"}},
      {"filters: 4", "", {"conv1", "filters", "0"}},
      {"kernel: 3 padding: 1",
       "kernel: 2147483647 padding: 2147483646",
       {"conv1", "kernel", "2147483647", "65536"}},
      {"filters: 4 kernel: 3 padding: 1",
       "filters: 16777216 kernel: 65536 padding: 65535",
       {"conv1", "65543x65543x16777216", "2^31 - 1"}},
      {"height: 8 width: 8 channels: 1",
       "height: 65536 width: 65536 channels: 65536",
       {"sample_shape", "65536x65536x65536", "2^31 - 1"}},
      {"units: 5", "", {"dense1", "units", "0"}},
      {"layers { flatten {} }", "", {"dense1", "4x4x4", "flatten"}},
      {"layers { dense {} }",
       "layers { dense { units: 4 } }",
       {"4 values", "needs 3", "dense {}"}},
      {"layers { dense {} }", "layers { name: \"x\" }", {"x", "no kind"}},
      {"layers { dense {} }",
       "layers { name: \"dense1\" dense {} }",
       {"dense1.weight", "twice"}},
      {"loss: LOSS_SOFTMAX_CROSS_ENTROPY", "", {"model.loss"}},
      {"classes: 3", "classes: 1", {"LOSS_SOFTMAX", "at least 2"}},
      {"idx { directory: \"/data\" }", "", {"data_set", "generated_linear"}},
      {"directory: \"/data\"", "stddev: -1", {"stddev", "-1", "above 0"}},
      {"test_examples: 30", "test_examples: -1", {"test_examples", "-1"}},
      {"seed: 1",
       "wire { push: 7 }",
       {"wire.push", "7", "ENCODING_FLOAT32 or ENCODING_BFLOAT16"}},
      {"seed: 1", "wire { pull: -1 }", {"wire.pull", "-1"}},
      {"height: 8", "height: 100000", {"sample_shape", "100000"}},
  }));
  CAPTURE(refusal.from, refusal.to);
  const auto job = With(refusal.from, refusal.to);
  INFO(job.status().ToString());
  REQUIRE(job.status().code() == kInvalid);
  for (const std::string& word : refusal.words) {
    CAPTURE(word);
    REQUIRE(job.status().message().find(word) != absl::string_view::npos);
  }
}

TEST_CASE("unknown fields and broken syntax are refused with their place") {
  REQUIRE_ERROR(ParseJobText("name: \"x\"\nbatchsize: 3"), kInvalid, "line 2",
                "batchsize");
  REQUIRE_ERROR(ParseJobText("model {"), kInvalid, "line 1");
  REQUIRE_ERROR(ParseJobText("seed: \"one\""), kInvalid, "line 1");
}

TEST_CASE("text that is not UTF-8 is refused") {
  REQUIRE_OK(ParseJobText("name: '\\303\\251'"));
  for (const char* text : {"name: '\\377'", "name: '\xff'",
                           "model { layers { name: '\\303' } }"}) {
    CAPTURE(text);
    REQUIRE_ERROR(ParseJobText(text), kInvalid, "UTF-8");
  }
}

TEST_CASE("a job file that is missing is named") {
  REQUIRE_ERROR(LoadJobFile("/nonexistent/job"), absl::StatusCode::kNotFound,
                "/nonexistent/job");
}

TEST_CASE("an unresolved job says how to resolve it") {
  REQUIRE_ERROR(With("sample_shape { height: 8 width: 8 channels: 1 }", ""),
                absl::StatusCode::kFailedPrecondition, "resolve");
}

TEST_CASE("resolving takes what the data says and refuses what differs") {
  v1::Job job = *ParseJobText(kJob);
  DataSetFacts facts{.classes = 3, .train_examples = 100, .test_examples = 30};
  facts.sample_shape.set_height(8);
  facts.sample_shape.set_width(8);
  facts.sample_shape.set_channels(1);
  REQUIRE_OK(ResolveDataSet(facts, job));
  job.mutable_data_set()->clear_sample_shape();
  job.mutable_data_set()->set_classes(0);
  REQUIRE_OK(ResolveDataSet(facts, job));
  REQUIRE(job.data_set().classes() == 3);
  REQUIRE(Job::Create(job)->fingerprint() == Good().fingerprint());
  facts.train_examples = 99;
  REQUIRE_ERROR(ResolveDataSet(facts, job), kInvalid, "train_examples", "100",
                "99");
}

TEST_CASE("how a job is run is no part of its fingerprint, and has defaults") {
  const Job job = Good();
  REQUIRE(job.checkpoint_policy().every_steps() == 0);
  REQUIRE(job.checkpoint_policy().every_seconds() == 60);
  REQUIRE(job.checkpoint_policy().keep() == 3);
  REQUIRE(job.wait_policy().report_after_seconds() == 10);
  REQUIRE(job.wait_policy().stop_after_seconds() == 0);
  v1::Job other = *ParseJobText(kJob);
  v1::CheckpointPolicy& policy =
      *other.mutable_operation()->mutable_checkpoint();
  policy.set_every_steps(7);
  other.mutable_operation()->mutable_wait()->set_stop_after_seconds(60);
  const auto created = Job::Create(other);
  REQUIRE_OK(created);
  REQUIRE(created->fingerprint() == job.fingerprint());
  REQUIRE(created->checkpoint_policy().every_seconds() == 0);
  policy.set_every_steps(-1);
  REQUIRE_ERROR(Job::Create(other), kInvalid, "every_steps", "-1");
  policy.set_every_steps(1);
  policy.set_every_seconds(-2);
  REQUIRE_ERROR(Job::Create(other), kInvalid, "every_seconds", "-2");
}

TEST_CASE("generated data describes itself") {
  v1::Job job = *ParseJobText(
      "data_set { generated_linear { features: 5 outputs: 2 train_examples: 64 "
      "test_examples: 16 } } model { layers { dense {} } loss: "
      "LOSS_MEAN_SQUARED_ERROR } batch_size: 16 microbatches: 2 optimizer { "
      "sgd {} } learning_rate { base: 0.1 } stop { steps: 3 }");
  const auto facts = FactsOfGeneratedData(job);
  REQUIRE_OK(facts);
  REQUIRE_OK(ResolveDataSet(*facts, job));
  const auto created = Job::Create(job);
  REQUIRE_OK(created);
  REQUIRE(created->layout().total_elements() == 12);
  job.mutable_stop()->set_target_accuracy(0.5);
  REQUIRE_ERROR(Job::Create(job), kInvalid, "target_accuracy", "regression");
  job.mutable_data_set()->mutable_generated_linear()->set_features(0);
  REQUIRE_ERROR(FactsOfGeneratedData(job), kInvalid, "features", "0");
}

TEST_CASE("layouts refuse what cannot be") {
  REQUIRE_ERROR(Layout::Create({}), kInvalid, "no parameters");
  REQUIRE_ERROR(Layout::Create({{.name = "a", .shape = {2, 0}}}), kInvalid, "a",
                "0");
  REQUIRE_ERROR(Layout::Create({{.name = "a", .shape = {1 << 30, 1 << 30}}}),
                kInvalid, "2^48");
}

}  // namespace
}  // namespace tessera
