#include "tests/soak/recovery_clock.h"

#include <catch2/catch.hpp>
#include <vector>

namespace tessera {
namespace {

class Fixture {
 public:
  void Kill(int ms) { clock_.OnDeath(At(ms)); }
  void See(int ms, int64_t generation, v1::Phase phase, int64_t steps_done) {
    v1::GetStatusResponse status;
    status.set_generation(generation);
    status.set_phase(phase);
    status.set_steps_done(steps_done);
    clock_.OnStatus(status, At(ms));
  }
  const RecoveryClock& clock() const { return clock_; }
  std::vector<int64_t> Recoveries() const {
    std::vector<int64_t> times;
    for (const absl::Duration time : clock_.recoveries()) {
      times.push_back(absl::ToInt64Milliseconds(time));
    }
    return times;
  }

 private:
  static absl::Time At(int ms) {
    return absl::UnixEpoch() + absl::Milliseconds(ms);
  }
  RecoveryClock clock_;
};

TEST_CASE("a recovery ends with a step of a later generation") {
  Fixture f;
  f.See(0, 1, v1::PHASE_TRAINING, 100);
  f.Kill(10);
  // Nobody has noticed yet.
  f.See(20, 1, v1::PHASE_TRAINING, 101);
  f.See(30, 2, v1::PHASE_RECOVERING, 80);
  f.See(40, 2, v1::PHASE_TRAINING, 80);
  REQUIRE(f.clock().is_recovering());
  f.See(50, 2, v1::PHASE_TRAINING, 81);
  REQUIRE_FALSE(f.clock().is_recovering());
  REQUIRE(f.Recoveries() == std::vector<int64_t>{40});
  REQUIRE(f.clock().steps_done() == 81);
}

TEST_CASE("several deaths may end with the same step") {
  Fixture f;
  f.See(0, 1, v1::PHASE_TRAINING, 100);
  f.Kill(10);
  f.See(20, 2, v1::PHASE_RECOVERING, 80);
  f.Kill(30);
  // The second death is not noticed yet.
  f.See(40, 2, v1::PHASE_TRAINING, 80);
  f.See(50, 2, v1::PHASE_TRAINING, 81);
  REQUIRE(f.clock().is_recovering());
  f.See(60, 3, v1::PHASE_TRAINING, 80);
  f.See(70, 3, v1::PHASE_TRAINING, 85);
  REQUIRE(f.Recoveries() == std::vector<int64_t>{60, 40});
}

TEST_CASE("times are described by their middle and their worst") {
  REQUIRE(DescribeTimes({}) == "none");
  REQUIRE(DescribeTimes({absl::Milliseconds(30), absl::Milliseconds(10),
                         absl::Milliseconds(21)}) ==
          "median 21 ms, worst 30 ms of 3");
  REQUIRE(DescribeTimes({absl::Milliseconds(30), absl::Milliseconds(10)}) ==
          "median 20 ms, worst 30 ms of 2");
}

}  // namespace
}  // namespace tessera
