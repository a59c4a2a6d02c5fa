#include "worker/client/reachability.h"

#include <catch2/catch.hpp>

namespace tessera {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1000);

TEST_CASE("pauses grow, and the last attempt is made when time is up") {
  Reachability reachability(absl::Seconds(10));
  absl::Time now = kStart;
  absl::Duration last = absl::ZeroDuration();
  int attempts = 0;
  while (true) {
    const auto next = reachability.OnFailure(now, now);
    if (!next) break;
    const absl::Duration pause = *next - now;
    REQUIRE(pause > absl::ZeroDuration());
    REQUIRE(pause <= Reachability::kPauseMax);
    if (*next < kStart + absl::Seconds(10)) REQUIRE(pause >= last);
    last = pause;
    now = *next;
    ++attempts;
  }
  REQUIRE(now == kStart + absl::Seconds(10));
  REQUIRE(attempts > 5);
  // Else they were nearly as many as short pauses.
  REQUIRE(attempts < 30);
}

TEST_CASE("a server that was heard of has all the time again") {
  Reachability reachability(absl::Seconds(1));
  REQUIRE(reachability.OnFailure(kStart, kStart).has_value());
  reachability.Reset();
  const absl::Time later = kStart + absl::Minutes(5);
  REQUIRE(reachability.OnFailure(later, later) ==
          later + Reachability::kPauseMin);
}

TEST_CASE("an outage is told of once it lasts, and every minute") {
  Reachability reachability(absl::Hours(1));
  const auto report_at = [&](absl::Duration after) {
    reachability.OnFailure(kStart, kStart + after);
    return reachability.TakeReport();
  };
  REQUIRE_FALSE(report_at(absl::Milliseconds(100)).has_value());
  REQUIRE(report_at(absl::Seconds(3)) == absl::Seconds(3));
  REQUIRE_FALSE(report_at(absl::Seconds(4)).has_value());
  REQUIRE_FALSE(report_at(absl::Seconds(62)).has_value());
  REQUIRE(report_at(absl::Seconds(63)) == absl::Seconds(63));
  REQUIRE_FALSE(report_at(absl::Seconds(64)).has_value());
  reachability.Reset();
  REQUIRE_FALSE(reachability.TakeReport().has_value());
  reachability.OnFailure(kStart + absl::Hours(1), kStart + absl::Hours(1));
  REQUIRE_FALSE(reachability.TakeReport().has_value());
}

TEST_CASE("the time that an attempt took counts") {
  Reachability reachability(absl::Seconds(10));
  REQUIRE_FALSE(reachability.OnFailure(kStart, kStart + absl::Seconds(10)));
}

}  // namespace
}  // namespace tessera
