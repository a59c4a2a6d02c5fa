#include "tests/integration/job_run.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "common/base/file.h"
#include "tests/support/idx_files.h"

namespace tessera {
namespace {

// The data set, made once and shared by the process's tests.
const std::string& DataFolder() {
  static const std::string* const folder = [] {
    auto* made = new std::string(NewScratchFolder());
    WriteIdxDataSet(*made, {});
    return made;
  }();
  return *folder;
}

constexpr char kJobText[] = R"pb(
  name: "small"
  data_set { idx { directory: "$0" mean: 0.3 stddev: 0.3 } }
  model {
    layers { conv2d { filters: 8 kernel: 3 padding: 1 } }
    layers { relu {} }
    layers { max_pool { size: 2 } }
    layers { flatten {} }
    layers { dense { units: 24 } }
    layers { relu {} }
    layers { dropout { rate: 0.1 } }
    layers { dense {} }
    loss: LOSS_SOFTMAX_CROSS_ENTROPY
  }
  batch_size: 32
  microbatches: 8
  optimizer { sgd { momentum: 0.9 } }
  learning_rate { base: 0.02 }
  block_bytes: $1
  seed: 7
  stop { steps: $2 $3 }
  evaluation { every_steps: 20 chunk_examples: 16 } $4
)pb";

}  // namespace

std::string WriteSmallJob(const SmallJob& job) {
  const std::string path = NewScratchFolder() + "/job.textproto";
  REQUIRE(WriteFileAtomically(
              path, absl::Substitute(kJobText, DataFolder(), job.block_bytes,
                                     job.steps, job.stop_extra, job.extra))
              .ok());
  return path;
}

LaunchRun::LaunchRun(const std::string& job_file, int servers, int workers,
                     const std::vector<std::string>& extra_flags)
    : run_dir_(NewScratchFolder() + "/run") {
  std::vector<std::string> argv = {kLauncher, absl::StrCat("--job=", job_file),
                                   absl::StrCat("--servers=", servers),
                                   absl::StrCat("--workers=", workers),
                                   absl::StrCat("--run_dir=", run_dir_)};
  argv.insert(argv.end(), extra_flags.begin(), extra_flags.end());
  command_ = std::make_unique<Command>(argv, run_dir_ + ".output");
}

void LaunchRun::RequireSuccess() {
  const auto ending = command_->Wait();
  INFO(command_->Output());
  REQUIRE(ending.has_value());
  REQUIRE(ending->signal == 0);
  REQUIRE(ending->exit_status == 0);
}

nlohmann::json LaunchRun::Summary() const {
  const auto text = ReadFile(run_dir_ + "/summary.json");
  REQUIRE(text.ok());
  return nlohmann::json::parse(*text);
}

std::string LaunchRun::ServerAddress(int shard) const {
  const auto text =
      ReadFile(absl::StrCat(run_dir_, "/logs/server-", shard, ".address"));
  return std::string(absl::StripAsciiWhitespace(text.value_or("")));
}

int LaunchRun::StepsSeen() const {
  const std::string text = ReadFile(run_dir_ + "/metrics.jsonl").value_or("");
  const std::string mark = "\"kind\":\"step\"";
  int count = 0;
  for (size_t at = text.find(mark); at != std::string::npos;
       at = text.find(mark, at + 1)) {
    ++count;
  }
  return count;
}

std::string RunAndHash(const SmallJob& job, int servers, int workers) {
  LaunchRun run(WriteSmallJob(job), servers, workers);
  run.RequireSuccess();
  return run.Summary()["params_sha256"];
}

}  // namespace tessera
