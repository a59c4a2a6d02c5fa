#include "server/coordinator/work_size.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <vector>

namespace tessera {
namespace {

constexpr absl::Time kNow = absl::UnixEpoch();

// What workers get, each of whom asks when it is done with what it got before.
std::map<int, std::vector<UnitRange>> ShareOut(
    int microbatches, const std::vector<double>& speeds) {
  double total = 0;
  for (double speed : speeds) total += speed;
  const ReductionTree tree(microbatches);
  UnitLedger ledger(microbatches, kNow);
  std::vector<double> idle_at(speeds.size());
  std::map<int, std::vector<UnitRange>> got;
  while (ledger.HasFree()) {
    const auto next = static_cast<size_t>(
        std::min_element(idle_at.begin(), idle_at.end()) - idle_at.begin());
    const WorkerId id(next + 1);
    const UnitRange unit = PickTrainUnit(
        tree, ledger, Allowance(ledger, id, speeds[next] / total));
    REQUIRE(tree.IsNode({unit.begin, unit.end}));
    ledger.Lease(unit, id, kNow);
    idle_at[next] += unit.size() / speeds[next];
    got[static_cast<int>(next)].push_back(unit);
  }
  return got;
}

using Units = std::vector<UnitRange>;

TEST_CASE("two equal workers get a half each") {
  const auto got = ShareOut(8, {3.0, 3.0});
  REQUIRE(got.at(0) == Units{{0, 4}});
  REQUIRE(got.at(1) == Units{{4, 8}});
}

TEST_CASE("measured speeds that differ a little make no crumbs") {
  const double slower = GENERATE(0.8, 0.9, 0.999, 1.001, 1.1, 1.25);
  const auto got = ShareOut(8, {1.0, slower});
  REQUIRE(got.at(0) == Units{{0, 4}});
  REQUIRE(got.at(1) == Units{{4, 8}});
}

TEST_CASE("three equal workers share eight as 3, 3, 2") {
  const auto got = ShareOut(8, {1.0, 1.0, 1.0});
  REQUIRE(got.at(0) == Units{{0, 2}, {6, 7}});
  REQUIRE(got.at(1) == Units{{2, 4}, {7, 8}});
  REQUIRE(got.at(2) == Units{{4, 6}});
}

TEST_CASE("a worker ten times as slow gets one") {
  const auto order =
      GENERATE(std::vector<double>{10, 1}, std::vector<double>{1, 10});
  const auto got = ShareOut(8, order);
  const int slow = order[0] < order[1] ? 0 : 1;
  REQUIRE(got.at(slow).size() == 1);
  REQUIRE(got.at(slow)[0].size() == 1);
}

TEST_CASE("one worker alone gets all at once") {
  const int microbatches = GENERATE(1, 2, 3, 6, 8, 13);
  const auto got = ShareOut(microbatches, {1.0});
  REQUIRE(got.at(0) == Units{{0, microbatches}});
}

TEST_CASE("more workers than microbatches: one each, none for the rest") {
  const auto got = ShareOut(3, {1.0, 1.0, 1.0, 1.0, 1.0});
  REQUIRE(got.size() == 3);
  for (const auto& [worker, units] : got) REQUIRE(units.size() == 1);
}

TEST_CASE("whatever the speeds, every microbatch goes out once") {
  const int microbatches = GENERATE(range(1, 20));
  const auto speeds =
      GENERATE(std::vector<double>{1, 7, 2}, std::vector<double>{0.001, 1000},
               std::vector<double>{1, 1, 1, 1, 1, 5});
  std::vector<int> count(static_cast<size_t>(microbatches));
  for (const auto& [worker, units] : ShareOut(microbatches, speeds)) {
    for (const UnitRange& unit : units) {
      for (int m = unit.begin; m < unit.end; ++m) {
        ++count[static_cast<size_t>(m)];
      }
    }
  }
  REQUIRE(
      std::all_of(count.begin(), count.end(), [](int n) { return n == 1; }));
}

TEST_CASE("a small unit is cut from the smallest node that has it") {
  const ReductionTree tree(8);
  UnitLedger ledger(8, kNow);
  ledger.Lease({0, 1}, WorkerId(1), kNow);
  // Free: [1, 2), [2, 4), [4, 8).
  REQUIRE(PickTrainUnit(tree, ledger, 1) == UnitRange{1, 2});
  REQUIRE(PickTrainUnit(tree, ledger, 2) == UnitRange{2, 4});
  REQUIRE(PickTrainUnit(tree, ledger, 3) == UnitRange{2, 4});
  REQUIRE(PickTrainUnit(tree, ledger, 7) == UnitRange{4, 8});
  ledger.Lease({1, 2}, WorkerId(1), kNow);
  REQUIRE(PickTrainUnit(tree, ledger, 1) == UnitRange{2, 3});
}

TEST_CASE("what a worker has taken is off its part, but not off its help") {
  UnitLedger ledger(8, kNow);
  REQUIRE(Allowance(ledger, WorkerId(1), 0.5) == 4);
  ledger.Lease({0, 4}, WorkerId(1), kNow);
  // The other half's owner has not come: half of the rest.
  REQUIRE(Allowance(ledger, WorkerId(1), 0.5) == 2);
  REQUIRE(Allowance(ledger, WorkerId(2), 0.5) == 4);
  REQUIRE(Allowance(ledger, WorkerId(3), 0.001) == 1);
}

TEST_CASE("evaluation goes out in runs") {
  UnitLedger ledger(10, kNow);
  REQUIRE(PickEvaluationUnit(ledger, 10.0 / 3) == UnitRange{0, 3});
  ledger.Lease({0, 3}, WorkerId(1), kNow);
  REQUIRE(PickEvaluationUnit(ledger, 100) == UnitRange{3, 10});
  ledger.Lease({3, 9}, WorkerId(2), kNow);
  ledger.Release({0, 3}, WorkerId(1), kNow);
  REQUIRE(PickEvaluationUnit(ledger, 5) == UnitRange{0, 3});
}

}  // namespace
}  // namespace tessera
