#include "common/device/buffer_pool.h"

#include <catch2/catch.hpp>
#include <optional>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "common/device/cpu/cpu_device.h"
#include "tests/support/failing_device.h"
#include "tests/support/status.h"

namespace tessera {
namespace {

BufferRef Get(BufferPool& pool, size_t bytes) {
  auto buffer = pool.Get(bytes);
  REQUIRE_OK(buffer);
  return *std::move(buffer);
}

TEST_CASE("a buffer comes back when its last share goes, and is used again") {
  FailingDevice device;
  BufferPool pool(device, MemoryKind::kDevice);
  BufferRef a = Get(pool, 100);
  void* const data = a.data();
  BufferRef b = a;
  a = BufferRef();
  REQUIRE(Get(pool, 100).data() != data);
  b = BufferRef();
  REQUIRE(Get(pool, 100).data() == data);
  REQUIRE(device.allocations() == 2);
}

TEST_CASE("sizes do not mix") {
  FailingDevice device;
  BufferPool pool(device, MemoryKind::kHost);
  Get(pool, 100);
  REQUIRE(Get(pool, 60).bytes() == 60);
  REQUIRE(Get(pool, 100).bytes() == 100);
  REQUIRE(device.allocations() == 2);
}

TEST_CASE("a share knows whether it is the only one") {
  const auto device = MakeCpuDevice();
  BufferPool pool(*device, MemoryKind::kDevice);
  BufferRef a = Get(pool, 4);
  REQUIRE(a.IsUnique());
  {
    const BufferRef b = a;
    REQUIRE_FALSE(a.IsUnique());
    REQUIRE(b.data() == a.data());
  }
  REQUIRE(a.IsUnique());
  BufferRef moved = std::move(a);
  REQUIRE(moved.IsUnique());
  BufferRef& itself = moved;
  moved = itself;
  REQUIRE(moved.IsUnique());
  REQUIRE_FALSE(static_cast<bool>(BufferRef()));
}

TEST_CASE("usage counts what is out, what was out at most, and all there is") {
  const auto device = MakeCpuDevice();
  BufferPool pool(*device, MemoryKind::kDevice);
  std::optional<BufferRef> a = Get(pool, 100);
  std::optional<BufferRef> b = Get(pool, 50);
  a.reset();
  REQUIRE(pool.usage().in_use_bytes == 50);
  REQUIRE(pool.usage().in_use_bytes_max == 150);
  REQUIRE(pool.usage().total_bytes == 150);
  b.reset();
  a = Get(pool, 100);
  REQUIRE(pool.usage().in_use_bytes == 100);
  REQUIRE(pool.usage().total_bytes == 150);
}

TEST_CASE("buffers may outlive their pool") {
  const auto device = MakeCpuDevice();
  BufferRef survivor;
  {
    BufferPool pool(*device, MemoryKind::kHost);
    survivor = Get(pool, 16);
    const BufferRef other = Get(pool, 16);
  }
  survivor.floats()[3] = 7;
  const BufferRef last = survivor;
  survivor = BufferRef();
  REQUIRE(last.floats()[3] == 7);
}

TEST_CASE("no memory is an error, and nothing is counted") {
  FailingDevice device;
  BufferPool pool(device, MemoryKind::kDevice);
  device.FailAfter(0);
  REQUIRE_ERROR(pool.Get(100), absl::StatusCode::kResourceExhausted, "100");
  REQUIRE(pool.usage().total_bytes == 0);
  REQUIRE(pool.usage().in_use_bytes_max == 0);
}

TEST_CASE("threads share, drop and reuse") {
  const auto device = MakeCpuDevice();
  BufferPool pool(*device, MemoryKind::kDevice);
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      std::vector<BufferRef> held;
      for (int i = 0; i < 2000; ++i) {
        BufferRef buffer = *pool.Get(4 * (1 + random() % 2));
        buffer.floats()[0] = static_cast<float>(t);
        held.push_back(buffer);
        if (held.size() > 5) held.erase(held.begin());
        for (const BufferRef& mine : held) {
          if (mine.floats()[0] != static_cast<float>(t)) {
            ++wrong[static_cast<size_t>(t)];
          }
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(wrong == std::vector<int>(4, 0));
  REQUIRE(pool.usage().in_use_bytes == 0);
}

}  // namespace
}  // namespace tessera
