#include "common/device/buffer_pool.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <memory>
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

// Room for so many pieces.
class SmallSource final : public HostMemorySource {
 public:
  explicit SmallSource(int pieces) : left_(pieces) {}

  absl::StatusOr<void*> Allocate(size_t bytes) override {
    if (left_ == 0) return absl::ResourceExhaustedError("used up");
    --left_;
    return std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  }
  void Free(void* data, size_t) override {
    ++left_;
    std::free(data);
  }

  int left() const { return left_; }

 private:
  int left_;
};

TEST_CASE("buffers come from the source while it lasts, then from the device") {
  FailingDevice device;
  const auto source = std::make_shared<SmallSource>(2);
  BufferRef survivor;
  {
    BufferPool pool(device, MemoryKind::kHost, source);
    const BufferRef a = Get(pool, 100);
    survivor = Get(pool, 100);
    REQUIRE(device.allocations() == 0);
    const BufferRef c = Get(pool, 100);
    REQUIRE(device.allocations() == 1);
    REQUIRE(pool.usage().in_use_bytes == 300);
    device.FailAfter(0);
    REQUIRE_ERROR(pool.Get(100), absl::StatusCode::kResourceExhausted, "100");
  }
  REQUIRE(source->left() == 0);
  survivor.floats()[24] = 7;
  survivor = BufferRef();
  REQUIRE(source->left() == 2);
}

TEST_CASE("buffers of a source are used again, too") {
  FailingDevice device;
  const auto source = std::make_shared<SmallSource>(1);
  BufferPool pool(device, MemoryKind::kHost, source);
  void* const data = Get(pool, 100).data();
  REQUIRE(source->left() == 0);
  REQUIRE(Get(pool, 100).data() == data);
  REQUIRE(device.allocations() == 0);
}

TEST_CASE("idle buffers of the source are preferred") {
  FailingDevice device;
  const auto source = std::make_shared<SmallSource>(1);
  BufferPool pool(device, MemoryKind::kHost, source);
  std::optional<BufferRef> first = Get(pool, 100);
  std::optional<BufferRef> stand_in = Get(pool, 100);
  void* const data = first->data();
  const bool other_way_round = GENERATE(false, true);
  (other_way_round ? stand_in : first).reset();
  (other_way_round ? first : stand_in).reset();
  REQUIRE(Get(pool, 100).data() == data);
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
