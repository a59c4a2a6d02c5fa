// What tests/gpu/check says where there is nothing to check. On a machine with
// a GPU the check itself is the test.

#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/status.h"

namespace tessera {
namespace {

using Catch::Contains;

struct End {
  int exit_status = 0;
  std::string output;
};

End Check(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "tests/gpu/check");
  Command check(std::move(arguments), NewScratchFolder() + "/check.log");
  const auto ending = check.Wait();
  REQUIRE(ending.has_value());
  return {ending->exit_status, check.Output()};
}

TEST_CASE("without a GPU the check says so and has a status of its own") {
  if (access("/dev/nvidiactl", F_OK) == 0) return;
  const End end = Check({});
  REQUIRE_THAT(end.output, Contains("has no GPU") && Contains("nothing"));
  REQUIRE(end.exit_status == 3);
}

TEST_CASE("the check explains itself") {
  const End end = Check({"--help"});
  REQUIRE(end.exit_status == 0);
  REQUIRE_THAT(end.output, Contains("gRPC") && Contains("--bundle") &&
                               Contains("3 where there is no GPU"));
}

TEST_CASE("what it does not know is refused") {
  const End end = Check({"--fast"});
  REQUIRE(end.exit_status == 2);
  REQUIRE_THAT(end.output, Contains("what is \"--fast\"?"));
}

}  // namespace
}  // namespace tessera
