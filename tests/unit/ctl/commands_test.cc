#include "deploy/ctl/commands.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/storage/posix_storage.h"
#include "deploy/ctl/checkpoints.h"
#include "deploy/report/safetensors.h"
#include "tests/support/command.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"

namespace tessera {
namespace {

using absl::StatusCode;

// Four weights and a bias.
Job SmallJob() {
  return MakeTestJob({.parameters = 5, .optimizer = "adamw {}"});
}

class Workbench {
 public:
  std::string operator/(const std::string& name) const {
    return folder_ + "/" + name;
  }

  std::string WriteWeights(const std::string& name,
                           const std::vector<float>& values) {
    const std::string path = *this / (name + ".safetensors");
    REQUIRE_OK(WriteSafetensors(path, job.layout(), values));
    return path;
  }

  absl::StatusOr<Report> ImportFrom(const std::string& path,
                                    const std::string& root) {
    return Import(storage, path, *this / root,
                  {.job = job, .set_id = CheckpointSetId(0xabc)});
  }

  // A checkpoint's folder with these parameters.
  std::string MakeCheckpoint(const std::string& root,
                             const std::vector<float>& values) {
    REQUIRE_OK(ImportFrom(WriteWeights(root, values), root).status());
    return *this / root;
  }

  const Job job = SmallJob();
  PosixStorage storage;

 private:
  const std::string folder_ = NewScratchFolder();
};

const std::vector<float> kWeights = {1.5f, -0.0f, 3e-39f,
                                     std::numeric_limits<float>::quiet_NaN(),
                                     -std::numeric_limits<float>::infinity()};

TEST_CASE("import, then export: the same bits", "[ctl]") {
  Workbench bench;
  const std::string root = bench.MakeCheckpoint("ckpt", kWeights);
  const std::string out = bench / "out.safetensors";
  const auto exported = Export(bench.storage, root, out);
  REQUIRE_OK(exported.status());
  CHECK_THAT(exported->text, Catch::Contains("5 parameters in 2 tensors"));
  CHECK(ReadFile(out).value() == ReadFile(bench / "ckpt.safetensors").value());
}

TEST_CASE("import makes version 0 with optimizer state 0", "[ctl]") {
  Workbench bench;
  const std::string root = bench.MakeCheckpoint("ckpt", kWeights);
  const auto reader = OpenCheckpoint(bench.storage, root);
  REQUIRE_OK(reader.status());
  CHECK(reader->set() ==
        SetIdentity{bench.job.fingerprint(), 0, CheckpointSetId(0xabc)});
  CHECK(reader->sections() == 3);
  for (int section = 1; section < 3; ++section) {
    std::vector<float> slot(5, 1.0f);
    REQUIRE_OK(reader->Read(section, {0, 5}, absl::MakeSpan(slot)));
    CHECK(slot == std::vector<float>(5, 0.0f));
  }
  REQUIRE_OK(reader->Verify());
}

TEST_CASE("import takes just the job's tensors", "[ctl]") {
  Workbench bench;
  const auto refused = [&](std::vector<TensorSpec> tensors,
                           const std::string& words) {
    const auto layout = Layout::Create(std::move(tensors));
    REQUIRE_OK(layout.status());
    const std::string path = bench / "bad.safetensors";
    REQUIRE_OK(WriteSafetensors(
        path, *layout,
        std::vector<float>(static_cast<size_t>(layout->total_elements()))));
    CHECK_THAT(bench.ImportFrom(path, "ckpt").status(),
               IsError(StatusCode::kInvalidArgument, path, words));
  };
  const std::vector<TensorSpec> good = bench.job.layout().tensors();
  REQUIRE(good.size() == 2);
  refused({good[0]},
          absl::StrCat("\"", good[1].name, "\", which the file has not"));
  refused({good[0], good[1], {.name = "more", .shape = {2}}},
          "\"more\", which the job's model has not");
  TensorSpec other = good[1];
  other.shape = {7};
  refused({good[0], other}, "shape [7] in the file and [");
  // Nothing was begun.
  CHECK(!bench.storage.List(bench / "ckpt").ok());
}

TEST_CASE("import leaves a folder with checkpoints alone", "[ctl]") {
  Workbench bench;
  bench.MakeCheckpoint("ckpt", kWeights);
  CHECK_THAT(
      bench.ImportFrom(bench / "ckpt.safetensors", "ckpt").status(),
      IsError(StatusCode::kAlreadyExists, "version 0 already", "folder"));
}

TEST_CASE("verify: good, damaged, not complete, nothing there", "[ctl]") {
  Workbench bench;
  const std::string root = bench.MakeCheckpoint("ckpt", kWeights);
  const std::string set = root + "/checkpoint-000000000000-0000000000000abc";
  for (const std::string& path : {root, set, set + "/"}) {
    CAPTURE(path);
    const auto report = Verify(bench.storage, path);
    REQUIRE_OK(report.status());
    CHECK(report->is_good);
    CHECK_THAT(report->text, Catch::Contains("good, version 0, 1 files"));
  }

  // The last value of the last section.
  const std::string file = set + "/shard-00000-of-00001";
  std::string bytes = ReadFile(file).value();
  bytes[bytes.size() - 60] ^= 1;
  REQUIRE_OK(WriteFileAtomically(file, bytes));
  for (const std::string& path : {root, set}) {
    const auto damaged = Verify(bench.storage, path);
    REQUIRE_OK(damaged.status());
    CHECK(!damaged->is_good);
    CHECK_THAT(damaged->text, Catch::Contains("damaged") &&
                                  Catch::Contains(file) &&
                                  Catch::Contains("piece at offset"));
  }

  REQUIRE_OK(bench.storage.RemoveFile(set + "/manifest"));
  const auto incomplete = Verify(bench.storage, root);
  REQUIRE_OK(incomplete.status());
  CHECK(!incomplete->is_good);
  CHECK_THAT(incomplete->text, Catch::Contains("no manifest") &&
                                   Catch::Contains("no complete checkpoint"));
  CHECK_THAT(Export(bench.storage, root, bench / "out").status(),
             IsError(StatusCode::kNotFound, "no complete checkpoint",
                     set + "/manifest"));
  CHECK_THAT(Verify(bench.storage, bench / "nowhere").status(),
             IsError(StatusCode::kNotFound, "nowhere"));
}

TEST_CASE("diff: equal to the bit, NaNs and all", "[ctl]") {
  Workbench bench;
  const std::string a = bench.MakeCheckpoint("a", kWeights);
  const std::string b = bench.MakeCheckpoint("b", kWeights);
  const auto report = Diff(bench.storage, a, b);
  REQUIRE_OK(report.status());
  CHECK(report->is_good);
  // Parameters and two slots of two tensors.
  CHECK_THAT(report->text, Catch::Contains("optimizer slot 1") &&
                               Catch::EndsWith("Equal to the bit.\n"));
  // A file of weights has no optimizer state to compare.
  const auto mixed = Diff(bench.storage, a, bench / "b.safetensors");
  REQUIRE_OK(mixed.status());
  CHECK(mixed->is_good);
  CHECK_THAT(mixed->text, !Catch::Contains("optimizer"));
}

TEST_CASE("diff: how far apart, and that zeros have signs", "[ctl]") {
  Workbench bench;
  const std::string a = bench.WriteWeights("a", {1, 2, 3, 0.0f, 5});
  const auto verdict = [&](const std::vector<float>& values) {
    const auto report = Diff(bench.storage, a, bench.WriteWeights("b", values));
    REQUIRE_OK(report.status());
    CHECK(!report->is_good);
    return report->text;
  };
  CHECK_THAT(verdict({1, 2.5f, 2, 0.0f, 5}),
             Catch::Contains("max |a - b| 1, 2 of 4 elements differ") &&
                 Catch::Contains("equal to the bit") &&
                 Catch::EndsWith("Not equal.\n"));
  CHECK_THAT(verdict({1, 2, 3, -0.0f, 5}),
             Catch::Contains("max |a - b| 0, 1 of 4"));
  // Once there is a NaN, no number says how far apart.
  CHECK_THAT(verdict({std::nanf(""), 9, 3, 0.0f, 5}),
             Catch::Contains("max |a - b| nan, 2 of 4"));
}

TEST_CASE("diff: tensors that only one has, and other shapes", "[ctl]") {
  Workbench bench;
  const auto write = [&](const std::string& name,
                         std::vector<TensorSpec> tensors) {
    const auto layout = Layout::Create(std::move(tensors));
    const std::string path = bench / (name + ".safetensors");
    REQUIRE_OK(WriteSafetensors(
        path, *layout,
        std::vector<float>(static_cast<size_t>(layout->total_elements()))));
    return path;
  };
  const std::string a = write(
      "a", {{.name = "both", .shape = {2, 3}}, {.name = "mine", .shape = {1}}});
  const std::string b = write("b", {{.name = "both", .shape = {3, 2}},
                                    {.name = "yours", .shape = {1}}});
  const auto report = Diff(bench.storage, a, b);
  REQUIRE_OK(report.status());
  CHECK(!report->is_good);
  CHECK_THAT(report->text,
             Catch::Contains("both   shapes differ: [2, 3] and [3, 2]") &&
                 Catch::Contains("mine   only in " + a) &&
                 Catch::Contains("yours  only in " + b));
}

}  // namespace
}  // namespace tessera
