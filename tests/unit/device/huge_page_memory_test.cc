#include "common/device/cpu/huge_page_memory.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <random>
#include <vector>

namespace tessera {
namespace {

struct Piece {
  uint8_t* data;
  size_t bytes;
  uint8_t mark;

  bool IsIntact() const {
    return data[0] == mark && std::memcmp(data, data + 1, bytes - 1) == 0;
  }
};

TEST_CASE(
    "pieces are aligned and never share a byte, in any order of freeing") {
  const uint64_t seed = GENERATE(take(5, random(1, 1 << 30)));
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  HugePageMemory memory;
  std::vector<Piece> pieces;
  for (int i = 0; i < 300; ++i) {
    if (!pieces.empty() && random() % 3 == 0) {
      const size_t at = random() % pieces.size();
      REQUIRE(pieces[at].IsIntact());
      memory.Free(pieces[at].data);
      pieces.erase(pieces.begin() + static_cast<std::ptrdiff_t>(at));
      continue;
    }
    const size_t bytes = HugePageMemory::kMinBytes + random() % 500000;
    auto* const data = static_cast<uint8_t*>(memory.Allocate(bytes));
    REQUIRE(data != nullptr);
    REQUIRE(reinterpret_cast<uintptr_t>(data) % 64 == 0);
    pieces.push_back({data, bytes, static_cast<uint8_t>(i)});
    std::memset(data, i, bytes);
  }
  for (const Piece& piece : pieces) {
    REQUIRE(piece.IsIntact());
    memory.Free(piece.data);
  }
}

TEST_CASE("a piece larger than a slab gets its own") {
  HugePageMemory memory;
  constexpr size_t kBytes = (size_t{40} << 20) + 5;
  auto* const data = static_cast<uint8_t*>(memory.Allocate(kBytes));
  auto* const next = static_cast<uint8_t*>(memory.Allocate(size_t{1} << 20));
  REQUIRE((next + (size_t{1} << 20) <= data || next >= data + kBytes));
  data[0] = 1;
  data[kBytes - 1] = 2;
  memory.Free(data);
  next[0] = 3;
  memory.Free(next);
}

TEST_CASE("blocks of 1 MiB lie side by side, two to a huge page") {
  HugePageMemory memory;
  constexpr size_t kBlock = size_t{1} << 20;
  std::vector<uint8_t*> blocks;
  for (int i = 0; i < 32; ++i) {
    blocks.push_back(static_cast<uint8_t*>(memory.Allocate(kBlock)));
    REQUIRE(blocks[static_cast<size_t>(i)] == blocks[0] + i * kBlock);
  }
  REQUIRE(reinterpret_cast<uintptr_t>(blocks[0]) % (2 * kBlock) == 0);
  for (uint8_t* block : blocks) memory.Free(block);
}

TEST_CASE("more than there is gives none, and harms nothing") {
  HugePageMemory memory;
  REQUIRE(memory.Allocate(size_t{1} << 50) == nullptr);
  void* const data = memory.Allocate(HugePageMemory::kMinBytes);
  REQUIRE(data != nullptr);
  memory.Free(data);
}

}  // namespace
}  // namespace tessera
