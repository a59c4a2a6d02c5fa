// The control tool's command line: arguments, exit statuses.

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "common/base/file.h"
#include "common/job/job.h"
#include "deploy/report/safetensors.h"
#include "tests/support/command.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"

namespace tessera {
namespace {

struct Outcome {
  int exit_status = -1;
  std::string output;
};

Outcome RunCtl(const std::vector<std::string>& arguments) {
  std::vector<std::string> argv = {"deploy/tessera_ctl"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  Command command(argv, NewScratchFolder() + "/output");
  const auto ending = command.Wait();
  REQUIRE(ending.has_value());
  REQUIRE(ending->signal == 0);
  return {ending->exit_status, command.Output()};
}

TEST_CASE("the whole way: import, verify, export, diff", "[ctl]") {
  const Job job = MakeTestJob({.parameters = 5});
  const std::string folder = NewScratchFolder();
  const std::string in = folder + "/in.safetensors";
  const std::string out = folder + "/out.safetensors";
  const std::string root = folder + "/deep/ckpt";
  REQUIRE_OK(
      WriteSafetensors(in, job.layout(), std::vector<float>{1, 2, 3, 4, 5}));
  const std::string job_path = folder + "/job.textproto";
  REQUIRE_OK(WriteFileAtomically(job_path, FormatJobText(job.proto())));

  const Outcome imported = RunCtl({"import", in, root, "--job=" + job_path});
  CAPTURE(imported.output);
  REQUIRE(imported.exit_status == 0);
  const Outcome verified = RunCtl({"verify", root});
  CHECK(verified.exit_status == 0);
  CHECK_THAT(verified.output, Catch::Contains("good, version 0"));
  CHECK(RunCtl({"export", root, out}).exit_status == 0);
  CHECK(RunCtl({"diff", in, out}).exit_status == 0);
  CHECK(RunCtl({"diff", root, out}).exit_status == 0);

  REQUIRE_OK(
      WriteSafetensors(in, job.layout(), std::vector<float>{1, 2, 3, 4, 6}));
  const Outcome different = RunCtl({"diff", in, root});
  CHECK(different.exit_status == 1);
  CHECK_THAT(different.output, Catch::Contains("max |a - b| 1"));
  // Made by another run; its set id is another, too.
  CHECK(RunCtl({"import", in, root, "--job=" + job_path}).exit_status == 2);
}

TEST_CASE("bad arguments say what to do", "[ctl]") {
  const auto refused = [](const std::vector<std::string>& arguments,
                          const std::string& words) {
    const Outcome outcome = RunCtl(arguments);
    CHECK(outcome.exit_status == 2);
    CHECK_THAT(outcome.output, Catch::Contains(words));
  };
  refused({}, "say what to do");
  refused({"frobnicate", "x"}, "no command \"frobnicate\"");
  refused({"diff", "x"}, "no command \"diff\" with 1 arguments");
  refused({"import", "x", "y"}, "needs --job");
  refused({"verify", "nowhere"}, "nowhere");
  refused({"verify", "--nonsense"}, "no flag");
  refused({"export", "nowhere", "x"}, "nowhere");
}

TEST_CASE("import says how to resolve a job", "[ctl]") {
  const std::string path = NewScratchFolder() + "/job.textproto";
  v1::Job job = MakeTestJob().proto();
  // Now its sizes are in files.
  job.mutable_data_set()->Clear();
  job.mutable_data_set()->mutable_idx();
  REQUIRE_OK(WriteFileAtomically(path, FormatJobText(job)));
  const Outcome outcome = RunCtl({"import", "x", "y", "--job=" + path});
  CHECK(outcome.exit_status == 2);
  CHECK_THAT(outcome.output, Catch::Contains("--resolve_only"));
}

TEST_CASE("--help is help", "[ctl]") {
  const Outcome outcome = RunCtl({"--help"});
  CHECK(outcome.exit_status == 0);
  for (const char* word : {"verify DIR", "export DIR", "import IN", "diff A B",
                           "Exit status", "--job"}) {
    CHECK_THAT(outcome.output, Catch::Contains(word));
  }
}

}  // namespace
}  // namespace tessera
