#include "worker/train/block_board.h"

#include <catch2/catch.hpp>
#include <thread>

#include "tests/support/status.h"
#include "worker/train/gradient_pool.h"

namespace tessera {
namespace {

// Four blocks of 16 elements, the last one short.
ShardPlan Plan() { return *ShardPlan::Create(60, 2, 64); }

void Fetch(BlockBoard& board, int block, int64_t version) {
  REQUIRE(*board.Begin(block, version));
  board.Arrived(block, version);
}

TEST_CASE("a version is complete when its last block is here") {
  BlockBoard board(Plan());
  REQUIRE(board.CompleteVersion() == -1);
  for (int block = 3; block >= 1; --block) Fetch(board, block, 0);
  REQUIRE(board.CompleteVersion() == -1);
  Fetch(board, 0, 0);
  REQUIRE(board.CompleteVersion() == 0);
  for (int block = 0; block < 4; ++block) Fetch(board, block, 1);
  REQUIRE(board.CompleteVersion() == 1);
  // The vector of version 0 is taken over by version 2.
  Fetch(board, 2, 2);
  REQUIRE(board.CompleteVersion() == 1);
}

TEST_CASE("what is forgotten is not held, and is fetched again") {
  BlockBoard board(Plan());
  for (int block = 0; block < 4; ++block) Fetch(board, block, 3);
  board.Failed(0, 4, absl::AbortedError("the servers went back"));
  board.Forget();
  REQUIRE(board.CompleteVersion() == -1);
  for (int block = 0; block < 4; ++block) Fetch(board, block, 3);
  REQUIRE(board.CompleteVersion() == 3);
  REQUIRE_OK(board.WaitFor({0, 60}, 3));
}

TEST_CASE("a block is fetched once") {
  BlockBoard board(Plan());
  REQUIRE(*board.Begin(1, 4));
  REQUIRE_FALSE(*board.Begin(1, 4));
  board.Arrived(1, 4);
  REQUIRE_FALSE(*board.Begin(1, 4));
  // The next version lives elsewhere and disturbs nothing.
  REQUIRE(*board.Begin(1, 5));
  REQUIRE_OK(board.WaitFor({16, 32}, 4));
}

TEST_CASE("two versions in a row have two memories") {
  BlockBoard board(Plan());
  REQUIRE(board.Values(0).data() != board.Values(1).data());
  REQUIRE(board.Values(0).data() == board.Values(2).data());
  REQUIRE(board.BlockValues(3, 0).size() == 12);
  REQUIRE(board.BlockValues(3, 0).data() == board.Values(0).data() + 48);
}

TEST_CASE("a wait covers every block that holds one of its elements") {
  BlockBoard board(Plan());
  Fetch(board, 0, 0);
  REQUIRE(*board.Begin(1, 0));
  std::thread arrival([&] { board.Arrived(1, 0); });
  REQUIRE_OK(board.WaitFor({15, 17}, 0));
  arrival.join();
}

TEST_CASE("being called back ends waits, until the next pass") {
  BlockBoard board(Plan());
  board.StartPass(0);
  std::thread caller([&] { board.Interrupt(absl::AbortedError("back")); });
  REQUIRE_ERROR(board.WaitFor({0, 60}, 0), absl::StatusCode::kAborted, "back");
  caller.join();
  board.StartPass(0);
  for (int block = 0; block < 4; ++block) Fetch(board, block, 0);
  REQUIRE_OK(board.WaitFor({0, 60}, 0));
}

TEST_CASE("final failures outlast the pass") {
  BlockBoard board(Plan());
  board.Interrupt(absl::CancelledError("stop"));
  board.StartPass(0);
  REQUIRE_ERROR(board.WaitFor({0, 1}, 0), absl::StatusCode::kCancelled, "stop");
  REQUIRE_ERROR(board.Begin(0, 0), absl::StatusCode::kCancelled, "stop");
  board.Reset();
  REQUIRE(*board.Begin(0, 0));
}

TEST_CASE("a stop holds, and comes before everything else") {
  BlockBoard board(Plan());
  board.Interrupt(absl::AbortedError("back"));
  std::thread stopper([&] { board.Stop(absl::CancelledError("stop")); });
  stopper.join();
  for (int i = 0; i < 3; ++i) {
    REQUIRE_ERROR(board.WaitFor({0, 1}, 0), absl::StatusCode::kCancelled,
                  "stop");
    REQUIRE_ERROR(board.Begin(0, 0), absl::StatusCode::kCancelled, "stop");
    if (i == 0) board.Forget();
    if (i == 1) board.StartPass(0);
  }
}

TEST_CASE("a failed fetch ends the pass that needs it, no other") {
  BlockBoard board(Plan());
  board.StartPass(2);
  REQUIRE(*board.Begin(0, 1));
  board.Failed(0, 1, absl::OutOfRangeError("no longer held"));
  Fetch(board, 0, 2);
  REQUIRE_OK(board.WaitFor({0, 1}, 2));
  REQUIRE(*board.Begin(1, 2));
  board.Failed(1, 2, absl::OutOfRangeError("no longer held"));
  REQUIRE_ERROR(board.WaitFor({0, 1}, 2), absl::StatusCode::kOutOfRange);
}

TEST_CASE("a fetch waits for the vector's other user") {
  BlockBoard board(Plan());
  REQUIRE(*board.Begin(0, 1));
  std::thread arrival([&] { board.Arrived(0, 1); });
  REQUIRE(*board.Begin(0, 3));
  arrival.join();
}

TEST_CASE("gradient vectors are used again") {
  GradientPool pool(10);
  auto first = pool.Acquire();
  auto second = pool.Acquire();
  REQUIRE(first->size() == 10);
  const GradientVector* memory = first.get();
  first.reset();
  REQUIRE(pool.Acquire().get() == memory);
  REQUIRE(pool.made() == 2);
}

TEST_CASE("gradient vectors lie in a shared region as far as it reaches") {
  auto region = SharedRegion::Create(64 << 10).value();
  GradientPool pool(10000, region);
  const auto first = pool.Acquire();
  REQUIRE(region->OffsetOf(first->data(), 40000).has_value());
  const auto second = pool.Acquire();
  REQUIRE_FALSE(region->OffsetOf(second->data(), 40000).has_value());
  second->data()[9999] = 1;
}

TEST_CASE("gradient vectors lie in the region that a pool is given later") {
  auto first = SharedRegion::Create(64 << 10).value();
  auto second = SharedRegion::Create(64 << 10).value();
  GradientPool pool(1000, first);
  const auto lent = pool.Acquire();
  pool.Acquire().reset();
  pool.UseRegion(second);
  REQUIRE(first->OffsetOf(lent->data(), 4000).has_value());
  REQUIRE(second->OffsetOf(pool.Acquire()->data(), 4000).has_value());
}

}  // namespace
}  // namespace tessera
