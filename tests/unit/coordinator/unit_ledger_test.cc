#include "server/coordinator/unit_ledger.h"

#include <catch2/catch.hpp>
#include <string>

#include "absl/strings/str_cat.h"

namespace tessera {
namespace {

constexpr WorkerId kAnn(1);
constexpr WorkerId kBob(2);

absl::Time At(int second) { return absl::FromUnixSeconds(second); }

// "[0,2)1+2 [2,4)1 [4,6)- [6,8)done2": holder and backup, "-" for free.
std::string Picture(const UnitLedger& ledger) {
  std::string text;
  for (const Unit& unit : ledger.units()) {
    absl::StrAppend(&text, text.empty() ? "" : " ", "[", unit.range.begin, ",",
                    unit.range.end, ")");
    if (unit.state == UnitState::kFree) {
      text += "-";
    } else {
      absl::StrAppend(&text, unit.state == UnitState::kDone ? "done" : "",
                      unit.holder.value());
      if (!unit.backup.is_none()) {
        absl::StrAppend(&text, "+", unit.backup.value());
      }
    }
  }
  return text;
}

TEST_CASE("a lease cuts what is free") {
  UnitLedger ledger(8, At(0));
  REQUIRE_FALSE(ledger.ever_leased());
  REQUIRE(Picture(ledger) == "[0,8)-");
  ledger.Lease({2, 4}, kAnn, At(1));
  ledger.Lease({4, 8}, kBob, At(2));
  REQUIRE(Picture(ledger) == "[0,2)- [2,4)1 [4,8)2");
  REQUIRE(ledger.ever_leased());
  REQUIRE(ledger.CountFree() == 2);
  REQUIRE(ledger.CountTaken(kBob) == 4);
  REQUIRE(ledger.size() == 8);
}

TEST_CASE("units given back join their free neighbours") {
  UnitLedger ledger(8, At(0));
  ledger.Lease({0, 2}, kAnn, At(1));
  ledger.Lease({2, 4}, kBob, At(1));
  ledger.Lease({4, 8}, kAnn, At(1));
  ledger.ReleaseAll(kAnn, At(5));
  REQUIRE(Picture(ledger) == "[0,2)- [2,4)2 [4,8)-");
  ledger.ReleaseAll(kBob, At(9));
  REQUIRE(Picture(ledger) == "[0,8)-");
  // Free since the first of its parts was.
  REQUIRE(ledger.units().front().since == At(5));
  REQUIRE(ledger.ever_leased());
}

TEST_CASE("only the holder's part of a range is released") {
  UnitLedger ledger(8, At(0));
  ledger.Lease({0, 4}, kAnn, At(1));
  ledger.Lease({4, 8}, kBob, At(1));
  ledger.Release({2, 6}, kAnn, At(2));
  REQUIRE(Picture(ledger) == "[0,2)1 [2,4)- [4,6)2 [6,8)2");
  ledger.ReleaseAll(WorkerId(7), At(3));
  REQUIRE(ledger.CountFree() == 2);
}

TEST_CASE("done is done, whoever did it and whoever held it") {
  UnitLedger ledger(4, At(0));
  ledger.Lease({0, 3}, kAnn, At(1));
  ledger.Finish({1, 2}, kBob, At(2));
  REQUIRE(Picture(ledger) == "[0,1)1 [1,2)done2 [2,3)1 [3,4)-");
  REQUIRE(ledger.CountTaken(kBob) == 1);
  // Again, by another: the first counts.
  ledger.Finish({1, 2}, kAnn, At(3));
  ledger.ReleaseAll(kBob, At(3));
  REQUIRE(Picture(ledger) == "[0,1)1 [1,2)done2 [2,3)1 [3,4)-");
  REQUIRE_FALSE(ledger.Holds(kBob));
  ledger.Finish({0, 4}, kAnn, At(4));
  REQUIRE_FALSE(ledger.HasFree());
  REQUIRE_FALSE(ledger.Holds(kAnn));
}

TEST_CASE("a unit with a backup outlives its holder") {
  UnitLedger ledger(8, At(0));
  ledger.Lease({0, 4}, kAnn, At(1));
  ledger.BackUp({0, 4}, kBob);
  REQUIRE(Picture(ledger) == "[0,4)1+2 [4,8)-");
  REQUIRE(ledger.Holds(kAnn));
  REQUIRE_FALSE(ledger.Holds(kBob));
  REQUIRE(ledger.CountTaken(kBob) == 0);
  SECTION("its holder goes") {
    ledger.ReleaseAll(kAnn, At(2));
    REQUIRE(Picture(ledger) == "[0,4)2 [4,8)-");
    ledger.ReleaseAll(kBob, At(3));
    REQUIRE(Picture(ledger) == "[0,8)-");
  }
  SECTION("the backup goes") {
    ledger.ReleaseAll(kBob, At(2));
    REQUIRE(Picture(ledger) == "[0,4)1 [4,8)-");
  }
  SECTION("a part of it is given back") {
    ledger.Release({0, 2}, kAnn, At(2));
    REQUIRE(Picture(ledger) == "[0,2)2 [2,4)1+2 [4,8)-");
  }
  SECTION("it is done, by either") {
    ledger.Finish({0, 2}, kAnn, At(2));
    ledger.Finish({2, 4}, kBob, At(2));
    REQUIRE(Picture(ledger) == "[0,2)done1 [2,4)done2 [4,8)-");
  }
}

}  // namespace
}  // namespace tessera
