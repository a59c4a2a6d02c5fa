#include "server/checkpoint/pacer.h"

#include <catch2/catch.hpp>

#include "tests/support/status.h"

namespace tessera {
namespace {

// A clock that only waiting moves.
class Clock {
 public:
  RatePacer::Options Options(int64_t bytes_per_second) {
    return {.bytes_per_second = bytes_per_second,
            .now = [this] { return now; },
            .wait_until =
                [this](absl::Time until) {
                  if (is_stopped) return absl::CancelledError("stopped");
                  CHECK(until > now);
                  now = until;
                  return absl::OkStatus();
                }};
  }
  double seconds() const { return absl::ToDoubleSeconds(now - start); }

  const absl::Time start = absl::FromUnixSeconds(1000);
  absl::Time now = start;
  bool is_stopped = false;
};

TEST_CASE("the first piece goes at once, the rest at the rate", "[pacer]") {
  Clock clock;
  RatePacer pacer(clock.Options(100));
  REQUIRE(pacer.Admit(50).ok());
  CHECK(clock.seconds() == 0);
  REQUIRE(pacer.Admit(200).ok());
  CHECK(clock.seconds() == Approx(0.5));
  REQUIRE(pacer.Admit(1).ok());
  CHECK(clock.seconds() == Approx(2.5));
}

TEST_CASE("a slow disk is not waited for twice, nor caught up with",
          "[pacer]") {
  Clock clock;
  RatePacer pacer(clock.Options(100));
  REQUIRE(pacer.Admit(100).ok());
  clock.now += absl::Seconds(5);
  REQUIRE(pacer.Admit(100).ok());
  CHECK(clock.seconds() == Approx(5));
  REQUIRE(pacer.Admit(100).ok());
  CHECK(clock.seconds() == Approx(6));
}

TEST_CASE("a wait that is ended ends the writing", "[pacer]") {
  Clock clock;
  RatePacer pacer(clock.Options(100));
  REQUIRE(pacer.Admit(100).ok());
  clock.is_stopped = true;
  CHECK_THAT(pacer.Admit(1), IsError(absl::StatusCode::kCancelled, "stopped"));
}

}  // namespace
}  // namespace tessera
