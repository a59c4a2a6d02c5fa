#include "worker/data/dataset.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <vector>

#include "tests/support/status.h"
#include "tests/unit/data/idx_bytes.h"

namespace tessera {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kNotFound = absl::StatusCode::kNotFound;

// Five training and two test images of 2x3, labels 0 to 2.
std::string SmallDataSet() {
  const std::string folder = NewFolder();
  WriteTestFile(folder, "train-images-idx3-ubyte", IdxBytes({5, 2, 3}, 0, 11));
  WriteTestFile(folder, "train-labels-idx1-ubyte",
                IdxHeader({5}) + std::string("\0\1\2\1\0", 5));
  WriteTestFile(folder, "t10k-images-idx3-ubyte.gz",
                Gzipped(IdxBytes({2, 2, 3}, 200, 1)));
  WriteTestFile(folder, "t10k-labels-idx1-ubyte.gz",
                Gzipped(IdxHeader({2}) + "\2\1"));
  return folder;
}

v1::Job JobOn(const std::string& folder) {
  v1::Job job;
  job.mutable_data_set()->mutable_idx()->set_directory(folder);
  return job;
}

// The job, resolved against its own data, and loaded.
absl::StatusOr<std::unique_ptr<DataSet>> ResolveAndLoad(v1::Job job) {
  const auto facts = ReadDataSetFacts(job, "");
  if (!facts.ok()) return facts.status();
  REQUIRE_OK(ResolveDataSet(*facts, job));
  return DataSet::Load(job.data_set(), 1, "");
}

struct Gathered {
  std::vector<float> inputs;
  std::vector<int32_t> labels;
  std::vector<float> targets;
};

Gathered Gather(const DataSet& data, Split split,
                const std::vector<int64_t>& indices, size_t sample_size,
                size_t outputs) {
  Gathered g;
  g.inputs.resize(indices.size() * sample_size);
  g.targets.resize(indices.size() * outputs);
  if (outputs == 0) g.labels.resize(indices.size());
  data.Gather(split, indices,
              {.inputs = absl::MakeSpan(g.inputs),
               .labels = absl::MakeSpan(g.labels),
               .targets = absl::MakeSpan(g.targets)});
  return g;
}

TEST_CASE("facts come from the files") {
  const auto facts = ReadDataSetFacts(JobOn(SmallDataSet()), "");
  REQUIRE_OK(facts);
  REQUIRE(facts->sample_shape.height() == 2);
  REQUIRE(facts->sample_shape.width() == 3);
  REQUIRE(facts->sample_shape.channels() == 1);
  REQUIRE(facts->classes == 3);
  REQUIRE(facts->train_examples == 5);
  REQUIRE(facts->test_examples == 2);
}

TEST_CASE("pixels are scaled, shifted and divided; order is the caller's") {
  v1::Job job = JobOn(SmallDataSet());
  job.mutable_data_set()->mutable_idx()->set_mean(0.25f);
  job.mutable_data_set()->mutable_idx()->set_stddev(0.5f);
  const auto data = ResolveAndLoad(job);
  REQUIRE_OK(data);
  REQUIRE((*data)->size(Split::kTrain) == 5);
  REQUIRE((*data)->size(Split::kTest) == 2);
  const Gathered g = Gather(**data, Split::kTrain, {4, 0, 4}, 6, 0);
  REQUIRE(g.labels == std::vector<int32_t>{0, 0, 0});
  for (int i = 0; i < 6; ++i) {
    const auto expect = [](int byte) {
      return static_cast<float>((byte / 255.0 - 0.25) / 0.5);
    };
    REQUIRE(g.inputs[i] == expect((4 * 6 + i) * 11 % 256));
    REQUIRE(g.inputs[6 + i] == expect(i * 11));
    REQUIRE(g.inputs[12 + i] == g.inputs[i]);
  }
  REQUIRE(Gather(**data, Split::kTest, {1, 0}, 6, 0).labels ==
          std::vector<int32_t>{1, 2});
}

TEST_CASE("colour images become channels first") {
  const std::string folder = SmallDataSet();
  v1::Job job = JobOn(folder);
  job.mutable_data_set()->mutable_idx()->set_train_images("train-rgb");
  job.mutable_data_set()->mutable_idx()->set_test_images("test-rgb");
  WriteTestFile(folder, "train-rgb", IdxBytes({5, 2, 1, 3}));
  WriteTestFile(folder, "test-rgb", IdxBytes({2, 2, 1, 3}));
  const auto data = ResolveAndLoad(job);
  REQUIRE_OK(data);
  const Gathered g = Gather(**data, Split::kTrain, {0}, 6, 0);
  // Stored as R0 G0 B0 R1 G1 B1.
  const std::vector<int> expected = {0, 3, 1, 4, 2, 5};
  for (int i = 0; i < 6; ++i) {
    REQUIRE(g.inputs[i] == static_cast<float>(expected[i] / 255.0));
  }
}

TEST_CASE("a data directory given to the worker replaces the job's") {
  REQUIRE_OK(ReadDataSetFacts(JobOn("/nowhere"), SmallDataSet()));
}

TEST_CASE("a name that the job gives is used as it is") {
  const std::string folder = SmallDataSet();
  v1::Job job = JobOn("/nowhere");
  v1::IdxFiles& files = *job.mutable_data_set()->mutable_idx();
  files.set_train_images(folder + "/train-images-idx3-ubyte");
  files.set_train_labels(folder + "/train-labels-idx1-ubyte");
  files.set_test_images(folder + "/t10k-images-idx3-ubyte.gz");
  files.set_test_labels(folder + "/t10k-labels-idx1-ubyte.gz");
  REQUIRE_OK(ReadDataSetFacts(job, ""));
  files.set_test_labels(folder + "/t10k-labels-idx1-ubyte");
  const auto facts = ReadDataSetFacts(job, "");
  REQUIRE_ERROR(facts, kNotFound, folder + "/t10k-labels-idx1-ubyte");
  REQUIRE(facts.status().message().find(".gz") == std::string::npos);
}

TEST_CASE("a missing file says what was tried and what to do") {
  const std::string folder = SmallDataSet();
  std::filesystem::remove(folder + "/t10k-images-idx3-ubyte.gz");
  const std::string path = folder + "/t10k-images-idx3-ubyte";
  REQUIRE_ERROR(ReadDataSetFacts(JobOn(folder), ""), kNotFound, path,
                path + ".gz", "data_set.idx", "--data_dir");
}

TEST_CASE("Fashion-MNIST's folder names its package") {
  for (const char* folder : {"/usr/share/datasets/fashion-mnist",
                             "/usr/share/datasets/fashion-mnist/"}) {
    v1::Job job = JobOn(folder);
    job.mutable_data_set()->mutable_idx()->set_train_images("not-there");
    REQUIRE_ERROR(ReadDataSetFacts(job, ""), kNotFound, "not-there",
                  "`apt-get install dataset-fashion-mnist`");
  }
}

TEST_CASE("files that disagree are refused, naming the file") {
  const std::string folder = SmallDataSet();
  const v1::Job job = JobOn(folder);
  SECTION("fewer labels than images") {
    const std::string path =
        WriteTestFile(folder, "train-labels-idx1-ubyte", IdxBytes({4}));
    REQUIRE_ERROR(ReadDataSetFacts(job, ""), kInvalid, path,
                  "4 labels for the 5 images");
  }
  SECTION("labels of a higher rank") {
    const std::string path =
        WriteTestFile(folder, "train-labels-idx1-ubyte", IdxBytes({5, 1}));
    REQUIRE_ERROR(ReadDataSetFacts(job, ""), kInvalid, path, "rank 1, not 2");
  }
  SECTION("images of a lower rank") {
    const std::string path =
        WriteTestFile(folder, "train-images-idx3-ubyte", IdxBytes({5, 6}));
    REQUIRE_ERROR(ReadDataSetFacts(job, ""), kInvalid, path, "rank 3");
  }
  SECTION("test images of another size") {
    const std::string path =
        WriteTestFile(folder, "t10k-images-idx3-ubyte", IdxBytes({2, 3, 2}));
    REQUIRE_ERROR(ReadDataSetFacts(job, ""), kInvalid, path, "3x2x1", "2x3x1");
  }
  SECTION("a test label that training never shows") {
    const std::string path = WriteTestFile(folder, "t10k-labels-idx1-ubyte",
                                           IdxHeader({2}) + "\2\3");
    REQUIRE_ERROR(ReadDataSetFacts(job, ""), kInvalid, path, "label 3",
                  "end at 2");
  }
  SECTION("images that end early") {
    const std::string path = WriteTestFile(folder, "train-images-idx3-ubyte",
                                           IdxHeader({5, 2, 3}) + "abc");
    REQUIRE_ERROR(ResolveAndLoad(job), kInvalid, path, "holds 3 values");
  }
}

TEST_CASE("data that is not what the job was resolved against is refused") {
  const std::string folder = SmallDataSet();
  v1::Job job = JobOn(folder);
  REQUIRE_OK(ResolveDataSet(*ReadDataSetFacts(job, ""), job));
  job.mutable_data_set()->set_test_examples(3);
  REQUIRE_ERROR(DataSet::Load(job.data_set(), 1, ""),
                absl::StatusCode::kFailedPrecondition, folder, "test_examples",
                "3", "2");
}

TEST_CASE("a job without data says so") {
  REQUIRE_ERROR(DataSet::Load({}, 1, ""), kInvalid, "no source");
  REQUIRE_ERROR(ReadDataSetFacts({}, ""), kInvalid, "no source");
}

v1::Job LinearJob(int features, int outputs, float noise) {
  v1::Job job;
  v1::GeneratedLinear& linear =
      *job.mutable_data_set()->mutable_generated_linear();
  linear.set_features(features);
  linear.set_outputs(outputs);
  linear.set_train_examples(2000);
  linear.set_test_examples(100);
  linear.set_noise_stddev(noise);
  return job;
}

TEST_CASE("generated data is linear, the same for a seed, apart for splits") {
  const v1::Job job = LinearJob(1, 2, 0);
  const auto data = DataSet::Load(job.data_set(), 5, "");
  REQUIRE_OK(data);
  const Gathered train = Gather(**data, Split::kTrain, {0, 1, 2, 3}, 1, 2);
  const Gathered test = Gather(**data, Split::kTest, {0, 1, 2, 3}, 1, 2);
  REQUIRE(train.inputs != test.inputs);
  for (size_t output : {0, 1}) {
    const auto slope = [&](const Gathered& g, size_t i) {
      return (g.targets[2 * i + output] - g.targets[output]) /
             (g.inputs[i] - g.inputs[0]);
    };
    for (size_t i : {1, 2, 3}) {
      REQUIRE(slope(train, i) == Approx(slope(train, 1)).epsilon(1e-3));
      REQUIRE(slope(test, i) == Approx(slope(train, 1)).epsilon(1e-3));
    }
  }
  const auto again = DataSet::Load(job.data_set(), 5, "");
  REQUIRE(Gather(**again, Split::kTrain, {3}, 1, 2).targets ==
          Gather(**data, Split::kTrain, {3}, 1, 2).targets);
  const auto other = DataSet::Load(job.data_set(), 6, "");
  REQUIRE(Gather(**other, Split::kTrain, {3}, 1, 2).inputs !=
          Gather(**data, Split::kTrain, {3}, 1, 2).inputs);
}

TEST_CASE("noise has the deviation asked for") {
  const auto exact = DataSet::Load(LinearJob(3, 1, 0).data_set(), 5, "");
  const auto noisy = DataSet::Load(LinearJob(3, 1, 0.5f).data_set(), 5, "");
  REQUIRE_OK(noisy);
  double squares = 0;
  for (int64_t i = 0; i < 2000; ++i) {
    const double difference =
        Gather(**noisy, Split::kTrain, {i}, 3, 1).targets[0] -
        Gather(**exact, Split::kTrain, {i}, 3, 1).targets[0];
    squares += difference * difference;
  }
  // The variance's standard error is 0.25 * sqrt(2 / 2000).
  REQUIRE(std::abs(squares / 2000 - 0.25) < 5 * 0.25 * std::sqrt(2.0 / 2000));
}

TEST_CASE("generated data of impossible sizes is refused") {
  REQUIRE_ERROR(DataSet::Load(LinearJob(0, 1, 0).data_set(), 1, ""), kInvalid,
                "features");
  v1::Job job = LinearJob(65536, 1, 0);
  job.mutable_data_set()->mutable_generated_linear()->set_train_examples(
      int64_t{1} << 40);
  REQUIRE_ERROR(DataSet::Load(job.data_set(), 1, ""),
                absl::StatusCode::kResourceExhausted, "GiB");
}

}  // namespace
}  // namespace tessera
