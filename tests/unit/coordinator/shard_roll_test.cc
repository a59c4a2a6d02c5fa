// The roll by itself: every state, and what takes it to another.

#include "server/coordinator/shard_roll.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/support/status.h"

namespace tessera {
namespace {

// Two shards and the sets 7 (version 20) and 5 (version 10).
struct Roll {
  Roll() : roll(2, {{20, 7, {}}, {10, 5, {}}}) { roll.Begin(now); }

  // "0a" shard 0 attends as a new process "a"; "0a3" it serves generation 3, as
  // it was told; "0a3?" so it says, without having seen this generation's
  // orders; "0a!" it could not load, and blames the set; "0a~" or not; "+" time
  // for a retry.
  absl::Status Do(const std::string& event) {
    if (event == "+") {
      now += ShardRoll::kRetryPause;
      roll.Tick(now);
      return absl::OkStatus();
    }
    v1::AttendRequest request;
    request.set_shard(event[0] - '0');
    request.set_incarnation(static_cast<uint64_t>(event[1]));
    bool follows = true;
    for (const char c : event.substr(2)) {
      if (c == '?') {
        follows = false;
      } else if (c == '!' || c == '~') {
        v1::RestoreFailure& failure = *request.mutable_restore_failure();
        failure.set_generation(roll.generation());
        failure.set_set_id(roll.start().set_id);
        failure.set_code(
            static_cast<int>(c == '!' ? absl::StatusCode::kDataLoss
                                      : absl::StatusCode::kResourceExhausted));
      } else {
        request.set_generation(c - '0');
      }
    }
    return roll.Hear(request, follows, now);
  }

  // "running 3 from 20".
  std::string State() const {
    const auto name = [this] {
      switch (roll.state()) {
        case ShardRoll::State::kGathering:
          return "gathering";
        case ShardRoll::State::kRestoring:
          return "restoring";
        default:
          return "running";
      }
    };
    return absl::StrCat(name(), " ", roll.generation(), " from ",
                        roll.start().version);
  }

  absl::Time now = absl::FromUnixSeconds(1000);
  ShardRoll roll;
};

TEST_CASE("what takes the roll from state to state") {
  const auto [events, state] = GENERATE(table<std::string, std::string>({
      {"", "gathering 0 from 0"},
      {"0a", "gathering 0 from 0"},
      {"0a 0b", "gathering 0 from 0"},
      {"0a 1b", "restoring 1 from 20"},
      {"0a 0c 1b", "restoring 1 from 20"},
      {"0a4 1b2", "restoring 5 from 20"},
      {"0a 1b 0a1", "restoring 1 from 20"},
      {"0a 1b 0a1 0a1", "restoring 1 from 20"},
      {"0a 1b 0a1 1b1", "running 1 from 20"},
      {"0a 1b 0a1 0a 1b1", "running 1 from 20"},
      {"0a 1b 0a1? 1b1", "restoring 2 from 20"},
      {"0a 1b 0a1 0a1? 1b1", "running 1 from 20"},
      {"0a 1b 0c", "restoring 2 from 20"},
      {"0a 1b 0a1 0c 1b1", "restoring 2 from 20"},
      {"0a 1b 0a1 1b1 1c", "restoring 2 from 20"},
      {"0a 1b 0a1 1b1 1c 0a2 1c2", "running 2 from 20"},
      {"0a 1b 0a!", "restoring 2 from 10"},
      {"0a 1b 0a! 1b!", "restoring 3 from 0"},
      {"0a 1b 0a! 1b! 0a!", "restoring 3 from 0"},
      {"0a 1b 0a! 1b! 0a! +", "restoring 4 from 0"},
      {"0a 1b 0a! 0a2 1b2 1c", "restoring 3 from 10"},
      {"0a 1b 0a~", "restoring 1 from 20"},
      {"0a 1b 0a~ +", "restoring 2 from 20"},
      {"0a 1b 0a~ 1b~ + +", "restoring 2 from 20"},
      {"0a 1b 0a~ 0a1 1b1 +", "running 1 from 20"},
      {"0a 1b 0a~ 1b! +", "restoring 2 from 10"},
      {"0a 1b 0a1 1b1 0a!", "running 1 from 20"},
  }));
  CAPTURE(events);
  Roll f;
  for (const auto event : absl::StrSplit(events, ' ', absl::SkipWhitespace())) {
    REQUIRE_OK(f.Do(std::string(event)));
  }
  REQUIRE(f.State() == state);
}

TEST_CASE("generations are above the floor and all that were served") {
  ShardRoll roll(1, {}, 100);
  const auto attend = [&](uint64_t incarnation, int64_t generation) {
    v1::AttendRequest request;
    request.set_incarnation(incarnation);
    request.set_generation(generation);
    REQUIRE_OK(roll.Hear(request, false, absl::FromUnixSeconds(1000)));
    return roll.generation();
  };
  // A server that knows of none, as all that did are gone.
  REQUIRE(attend(1, 0) == 101);
  REQUIRE(attend(2, 0) == 102);
  REQUIRE(attend(3, 500) > 500);
}

// 501 may have been ordered too, of shards that are gone.
TEST_CASE("a predecessor's generations are not used again") {
  const auto first_above = [](int64_t floor, int64_t served) {
    ShardRoll roll(1, {}, floor);
    v1::AttendRequest request;
    request.set_incarnation(1);
    request.set_generation(served);
    REQUIRE_OK(roll.Hear(request, false, absl::FromUnixSeconds(1000)));
    return roll.generation();
  };
  REQUIRE(first_above(100, 500) > 1000);
  REQUIRE(first_above(100, 500) != first_above(101, 500));
  // Without a floor there is nothing to tell coordinators apart by.
  REQUIRE(first_above(0, 500) == 501);
}

TEST_CASE("a process that was replaced is refused in every state") {
  const std::string events =
      GENERATE(as<std::string>(), "0a 0b", "0a 0b 1c", "0a 1c 0b",
               "0a 1c 0b 0b2 1c2", "0a 1c 0a1 1c1 0b");
  CAPTURE(events);
  Roll f;
  for (const auto event : absl::StrSplit(events, ' ')) {
    REQUIRE_OK(f.Do(std::string(event)));
  }
  const std::string before = f.State();
  REQUIRE_ERROR(f.Do("0a"), absl::StatusCode::kFailedPrecondition, "shard 0",
                "must end");
  REQUIRE_ERROR(f.Do("0a9"), absl::StatusCode::kFailedPrecondition);
  REQUIRE(f.State() == before);
}

TEST_CASE("sets that are added are the newest, and so many are kept") {
  Roll f;
  f.roll.AddPoint({25, 9, {}}, 2);
  REQUIRE(f.roll.newest()->set_id == 9);
  REQUIRE(f.roll.Find(7)->version == 20);
  REQUIRE(f.roll.Find(5) == nullptr);
  REQUIRE(f.roll.Find(1) == nullptr);
}

}  // namespace
}  // namespace tessera
