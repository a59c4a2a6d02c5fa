#include "common/base/slot_table.h"

#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <random>

namespace tessera {
namespace {

TEST_CASE("keys find their own values, and only while they are there") {
  SlotTable<std::unique_ptr<int>> table;
  REQUIRE(table.Find(0) == nullptr);
  REQUIRE(table.Find(~uint64_t{0}) == nullptr);
  const uint64_t one = table.Add(std::make_unique<int>(1));
  const uint64_t two = table.Add(std::make_unique<int>(2));
  REQUIRE(one != 0);
  REQUIRE(**table.Find(one) == 1);
  REQUIRE(**table.Find(two) == 2);
  REQUIRE(**table.Take(one) == 1);
  REQUIRE(table.Find(one) == nullptr);
  REQUIRE_FALSE(table.Take(one).has_value());
  REQUIRE(table.size() == 1);
  const uint64_t three = table.Add(std::make_unique<int>(3));
  // The same slot, another turn.
  REQUIRE(static_cast<uint32_t>(three) == static_cast<uint32_t>(one));
  REQUIRE(table.Find(one) == nullptr);
  REQUIRE(**table.Find(three) == 3);
}

TEST_CASE("a table does what a map does") {
  constexpr unsigned kSeed = 7;
  CAPTURE(kSeed);
  std::mt19937 random(kSeed);
  SlotTable<int> table;
  std::map<uint64_t, int> model;
  for (int i = 0; i < 5000; ++i) {
    if (model.empty() || random() % 2 == 0) {
      REQUIRE(model.emplace(table.Add(i), i).second);
    } else {
      const auto any = std::next(
          model.begin(), static_cast<std::ptrdiff_t>(random() % model.size()));
      REQUIRE(table.Take(any->first) == any->second);
      model.erase(any);
    }
    REQUIRE(table.size() == model.size());
  }
  std::map<uint64_t, int> all;
  table.ForEach([&](uint64_t key, int value) { all[key] = value; });
  REQUIRE(all == model);
}

}  // namespace
}  // namespace tessera
