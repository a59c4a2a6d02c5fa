#include "common/tensor/fragments.h"

#include <catch2/catch.hpp>
#include <vector>

namespace tessera {
namespace {

FragmentedBytes::Piece PieceOf(const std::vector<uint8_t>& bytes) {
  return bytes;
}

std::vector<uint8_t> Copy(const FragmentedBytes& bytes) {
  std::vector<uint8_t> out(bytes.size());
  bytes.CopyTo(out.data());
  return out;
}

TEST_CASE("a view of pieces is their concatenation") {
  const std::vector<uint8_t> a = {1, 2, 3}, b = {}, c = {4}, d = {5, 6};
  FragmentedBytes bytes;
  for (const auto* piece : {&a, &b, &c, &d}) bytes.Append(PieceOf(*piece));
  REQUIRE(bytes.size() == 6);
  REQUIRE(bytes.pieces().size() == 3);
  REQUIRE(Copy(bytes) == std::vector<uint8_t>{1, 2, 3, 4, 5, 6});
}

TEST_CASE("every subview holds what it says") {
  const std::vector<uint8_t> a = {1, 2, 3}, b = {4}, c = {5, 6};
  FragmentedBytes bytes;
  for (const auto* piece : {&a, &b, &c}) bytes.Append(PieceOf(*piece));
  for (size_t begin = 0; begin <= 6; ++begin) {
    for (size_t length = 0; begin + length <= 6; ++length) {
      std::vector<uint8_t> expected;
      for (size_t i = 0; i < length; ++i) {
        expected.push_back(static_cast<uint8_t>(begin + i + 1));
      }
      REQUIRE(Copy(bytes.Subview(begin, length)) == expected);
    }
  }
}

TEST_CASE("floats are found wherever the pieces are cut") {
  const std::vector<float> values = {1.5f, -2.25f, 3e20f, 0.125f, -7.0f};
  const auto* raw = reinterpret_cast<const uint8_t*>(values.data());
  const size_t size = values.size() * 4;
  for (size_t first = 0; first <= size; ++first) {
    for (size_t second = first; second <= size; ++second) {
      FragmentedBytes bytes;
      bytes.Append({raw, first});
      bytes.Append({raw + first, second - first});
      bytes.Append({raw + second, size - second});
      std::vector<float> seen;
      ForEachFloatRun(bytes,
                      [&](const uint8_t* at, size_t number, size_t count) {
                        REQUIRE(number == seen.size());
                        for (size_t i = 0; i < count; ++i) {
                          float value;
                          std::memcpy(&value, at + 4 * i, 4);
                          seen.push_back(value);
                        }
                      });
      REQUIRE(seen == values);
    }
  }
}

TEST_CASE("one float may lie in four pieces") {
  const float value = 1.75f;
  const auto* raw = reinterpret_cast<const uint8_t*>(&value);
  FragmentedBytes bytes;
  for (int i = 0; i < 4; ++i) bytes.Append({raw + i, 1});
  float seen = 0;
  ForEachFloatRun(bytes, [&](const uint8_t* at, size_t number, size_t count) {
    REQUIRE(number == 0);
    REQUIRE(count == 1);
    std::memcpy(&seen, at, 4);
  });
  REQUIRE(seen == value);
}

}  // namespace
}  // namespace tessera
