// That the simulation's own books would show what they are kept for.

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "tests/simulation/recovery/kept_sets.h"
#include "tests/simulation/recovery/push_ledger.h"

namespace tessera {
namespace {

std::string Add(PushLedger& ledger, int64_t step, MicrobatchRange range,
                PushOutcome outcome, int64_t newest) {
  return ledger.Add({.block = 0, .step = step, .range = range},
                    {.outcome = outcome, .newest_version = newest});
}

TEST_CASE("a step is complete with the last microbatch, and not before") {
  PushLedger ledger(4);
  ledger.Restart(7);
  CHECK(Add(ledger, 7, {0, 2}, PushOutcome::kAdded, 7) == "");
  CHECK(Add(ledger, 7, {0, 1}, PushOutcome::kDuplicate, 7) == "");
  CHECK(Add(ledger, 7, {2, 3}, PushOutcome::kAdded, 7) == "");
  // Covers what is held, and more.
  CHECK(Add(ledger, 7, {2, 4}, PushOutcome::kCompleted, 8) == "");
  CHECK(Add(ledger, 7, {0, 4}, PushOutcome::kDuplicate, 8) == "");
}

TEST_CASE("what is counted twice, too early or not at all is named") {
  PushLedger ledger(2);
  CHECK(Add(ledger, 0, {0, 1}, PushOutcome::kAdded, 0) == "");
  SECTION("twice") {
    CHECK(Add(ledger, 0, {0, 1}, PushOutcome::kAdded, 0) != "");
  }
  SECTION("complete too early") {
    CHECK(Add(ledger, 0, {0, 1}, PushOutcome::kCompleted, 1) != "");
  }
  SECTION("not counted") {
    CHECK(Add(ledger, 0, {1, 2}, PushOutcome::kDuplicate, 0) != "");
  }
  SECTION("of a later step") {
    CHECK(Add(ledger, 1, {0, 1}, PushOutcome::kAdded, 0) != "");
  }
  SECTION("counted before a restart") {
    ledger.Restart(0);
    CHECK(Add(ledger, 0, {0, 1}, PushOutcome::kDuplicate, 0) != "");
  }
}

TEST_CASE("counters must be those of the pushes") {
  PushLedger ledger(2);
  CHECK(Add(ledger, 0, {0, 1}, PushOutcome::kAdded, 0) == "");
  CHECK(Add(ledger, 0, {0, 1}, PushOutcome::kDuplicate, 0) == "");
  ShardStats stats;
  stats.traffic = {{.pushes = 1}, {.pushes = 1, .duplicates = 1}};
  CHECK(ledger.DifferenceOf(stats) == "");
  stats.traffic[0].duplicates = 1;
  CHECK(ledger.DifferenceOf(stats) != "");
}

SetName Set(int64_t version, uint64_t id = 1) {
  return {.version = version, .set_id = CheckpointSetId(id)};
}

std::vector<int64_t> Versions(const KeptSets& kept) {
  std::vector<int64_t> versions;
  for (const SetName& set : kept.sets()) versions.push_back(set.version);
  return versions;
}

TEST_CASE("sets must be there as long as retention has to keep them") {
  KeptSets kept(2);
  const auto write = [&kept](const SetName& set) {
    kept.Try(set);
    kept.Acknowledge(set);
  };
  using V = std::vector<int64_t>;
  write(Set(10));
  write(Set(20));
  CHECK(Versions(kept) == V{10, 20});
  write(Set(30));
  CHECK(Versions(kept) == V{20, 30});
  // Complete or not, it may take a place.
  kept.Try(Set(35));
  write(Set(40));
  CHECK(Versions(kept) == V{40});
  // Training went back from a damaged set: what is beyond stays.
  write(Set(50));
  kept.Damage(Set(40));
  write(Set(36));
  CHECK(Versions(kept) == V{50, 36});
}

}  // namespace
}  // namespace tessera
