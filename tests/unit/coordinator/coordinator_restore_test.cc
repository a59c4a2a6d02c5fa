// Sets that cannot be loaded.

#include <catch2/catch.hpp>

#include "tests/unit/coordinator/recovering.h"

namespace tessera {
namespace {

TEST_CASE("a set that cannot be loaded is dropped for the next, to the first") {
  Recovering f({Point(20, 7), Point(10, 5)});
  f.Say(0);
  f.Say(1);
  f.Obey(0);
  f.Fail(1, GENERATE(absl::StatusCode::kDataLoss, absl::StatusCode::kNotFound,
                     absl::StatusCode::kFailedPrecondition));
  REQUIRE(f.Orders(0) == "generation 2, version 10 of set 5");
  REQUIRE(f.Status().checkpoint().newest_version() == 10);
  // What was said before is not said of this generation.
  REQUIRE(f.Orders(1) == "generation 2, version 10 of set 5");
  f.Fail(0, absl::StatusCode::kDataLoss);
  REQUIRE(f.Orders(1) == "generation 3, version 0 of set 0");
  REQUIRE(f.Status().checkpoint().newest_version() == -1);
  f.ObeyAll();
  REQUIRE(f.coordinator->generation() == 3);
  REQUIRE(f.coordinator->steps_done() == 0);
  // Dropped for good.
  f.Replace(1);
  REQUIRE(f.Orders(1) == "generation 4, version 0 of set 0");
}

TEST_CASE("a failure that is not the set's is tried again, after a pause") {
  Recovering f({Point(20, 7)});
  f.Say(0);
  f.Say(1);
  f.Fail(0, absl::StatusCode::kUnavailable);
  REQUIRE(f.Orders(0) == "generation 1, version 20 of set 7");
  f.now += ShardRoll::kRetryPause / 2;
  f.coordinator->Tick(f.now);
  REQUIRE(f.Orders(0) == "generation 1, version 20 of set 7");
  f.now += ShardRoll::kRetryPause / 2;
  f.coordinator->Tick(f.now);
  REQUIRE(f.Orders(0) == "generation 2, version 20 of set 7");
  f.ObeyAll();
  REQUIRE(f.coordinator->generation() == 2);
  f.now += 10 * ShardRoll::kRetryPause;
  f.coordinator->Tick(f.now);
  REQUIRE(f.coordinator->generation() == 2);
}

TEST_CASE_METHOD(Recovering, "initial parameters are never given up") {
  Say(0);
  Say(1);
  Fail(0, absl::StatusCode::kDataLoss);
  now += ShardRoll::kRetryPause;
  coordinator->Tick(now);
  REQUIRE(Orders(0) == "generation 2, version 0 of set 0");
}

}  // namespace
}  // namespace tessera
