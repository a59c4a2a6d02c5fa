#include "server/coordinator/membership.h"

#include <catch2/catch.hpp>
#include <limits>

namespace tessera {
namespace {

constexpr absl::Duration kLease = absl::Seconds(10);

absl::Time At(double second) {
  return absl::UnixEpoch() + absl::Seconds(second);
}

TEST_CASE("ids count up and are never used twice") {
  Membership members(100, kLease);
  REQUIRE(members.Join("a", At(0)).id == WorkerId(100));
  REQUIRE(members.Join("b", At(0)).id == WorkerId(101));
  REQUIRE(members.Remove(WorkerId(101)));
  REQUIRE_FALSE(members.Remove(WorkerId(101)));
  REQUIRE(members.Join("b", At(0)).id == WorkerId(102));
  REQUIRE(members.Find(WorkerId(101)) == nullptr);
  REQUIRE(members.Find(WorkerId(100))->label == "a");
}

TEST_CASE("a lease runs out after its length, not at it") {
  Membership members(1, kLease);
  members.Join("a", At(0));
  members.Join("b", At(1));
  REQUIRE(members.Expire(At(10)).empty());
  REQUIRE(members.Expire(At(10.001)) == std::vector{WorkerId(1)});
  REQUIRE(members.Expire(At(10.5)).empty());
  REQUIRE(members.all().size() == 1);
}

TEST_CASE("shares are equal until someone is measured") {
  Membership members(1, kLease);
  Member& a = members.Join("a", At(0));
  Member& b = members.Join("b", At(0));
  REQUIRE(members.TotalSpeed() == 0);
  REQUIRE(members.ShareOf(a.id) == 0.5);

  a.Measure(0.25);
  REQUIRE(a.speed == 4);
  // Whoever is unknown counts as the mean of the others.
  REQUIRE(members.SpeedOf(b.id) == 4);
  REQUIRE(members.ShareOf(b.id) == 0.5);

  b.Measure(1);
  const Member& c = members.Join("c", At(0));
  REQUIRE(members.SpeedOf(c.id) == 2.5);
  REQUIRE(members.TotalSpeed() == Approx(7.5));
  REQUIRE(members.ShareOf(a.id) == Approx(4 / 7.5));
}

TEST_CASE("a speed follows its measurements, without jumping") {
  Member member;
  member.Measure(0.5);
  REQUIRE(member.speed == 2);
  member.Measure(0.05);
  REQUIRE(member.speed == Approx(2 + 0.3 * 18));
  for (int i = 0; i < 50; ++i) member.Measure(0.05);
  REQUIRE(member.speed == Approx(20).epsilon(1e-6));
}

TEST_CASE("measurements that are none are left out") {
  Member member;
  member.Measure(0.5);
  const double odd =
      GENERATE(0.0, -1.0, std::numeric_limits<double>::infinity(),
               std::numeric_limits<double>::quiet_NaN());
  member.Measure(odd);
  REQUIRE(member.speed == 2);
}

TEST_CASE("speeds stay within bounds that keep shares above zero") {
  Membership members(1, kLease);
  Member& a = members.Join("a", At(0));
  Member& b = members.Join("b", At(0));
  a.Measure(std::numeric_limits<double>::min());
  b.Measure(std::numeric_limits<double>::max());
  REQUIRE(members.ShareOf(b.id) > 0);
  REQUIRE(members.ShareOf(a.id) <= 1);
}

}  // namespace
}  // namespace tessera
