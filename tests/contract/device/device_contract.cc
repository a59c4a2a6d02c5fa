#include "tests/contract/device/device_contract.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/status.h"

namespace tessera {
namespace {

std::vector<uint8_t> Pattern(size_t bytes, int start) {
  std::vector<uint8_t> pattern(bytes);
  for (size_t i = 0; i < bytes; ++i) {
    pattern[i] = static_cast<uint8_t>(static_cast<size_t>(start) + i * 7);
  }
  return pattern;
}

Memory Allocate(Device& device, MemoryKind kind, size_t bytes) {
  auto memory = device.Allocate(kind, bytes);
  REQUIRE_OK(memory);
  return *std::move(memory);
}

std::unique_ptr<Stream> CreateStream(Device& device) {
  auto stream = device.CreateStream();
  REQUIRE_OK(stream);
  return *std::move(stream);
}

// What lies at `from`, wherever that is.
std::vector<uint8_t> Fetch(Stream& stream, const void* from, size_t bytes) {
  std::vector<uint8_t> fetched(bytes);
  REQUIRE_OK(stream.Copy(fetched.data(), from, bytes));
  REQUIRE_OK(stream.Synchronize());
  return fetched;
}

TEST_CASE("a device has a name") {
  REQUIRE_FALSE(MakeDeviceUnderTest()->name().empty());
}

TEST_CASE("memory has the size asked for and is aligned") {
  const auto device = MakeDeviceUnderTest();
  const MemoryKind kind = GENERATE(MemoryKind::kDevice, MemoryKind::kHost);
  const size_t bytes = GENERATE(0, 1, 63, 64, 65, 4096, 1 << 20);
  const Memory memory = Allocate(*device, kind, bytes);
  REQUIRE(memory.bytes() == bytes);
  if (bytes > 0) {
    REQUIRE(reinterpret_cast<uintptr_t>(memory.data()) % 64 == 0);
  }
}

TEST_CASE("host memory is this process's to read and write") {
  const auto device = MakeDeviceUnderTest();
  const Memory memory = Allocate(*device, MemoryKind::kHost, 1000);
  const auto pattern = Pattern(1000, 3);
  std::memcpy(memory.data(), pattern.data(), pattern.size());
  REQUIRE(std::memcmp(memory.data(), pattern.data(), pattern.size()) == 0);
}

TEST_CASE("memory moves, and is freed once") {
  const auto device = MakeDeviceUnderTest();
  Memory a = Allocate(*device, MemoryKind::kDevice, 100);
  void* const data = a.data();
  Memory b = std::move(a);
  REQUIRE(b.data() == data);
  REQUIRE(b.bytes() == 100);
  Memory c = Allocate(*device, MemoryKind::kHost, 50);
  c = std::move(b);
  REQUIRE(c.data() == data);
  Memory empty;
  empty = std::move(c);
  REQUIRE(empty.data() == data);
}

TEST_CASE("more memory than there is gives RESOURCE_EXHAUSTED and the size") {
  const auto device = MakeDeviceUnderTest();
  const MemoryKind kind = GENERATE(MemoryKind::kDevice, MemoryKind::kHost);
  REQUIRE_ERROR(device->Allocate(kind, size_t{1} << 60),
                absl::StatusCode::kResourceExhausted, "1152921504606846976");
  // And the device is as good as before.
  REQUIRE_OK(device->Allocate(kind, 1000));
}

TEST_CASE("copies go between all kinds of memory, of every size") {
  const auto device = MakeDeviceUnderTest();
  const auto stream = CreateStream(*device);
  const size_t bytes = GENERATE(0, 1, 4, 63, 1000, 300000);
  const Memory a = Allocate(*device, MemoryKind::kDevice, bytes);
  const Memory b = Allocate(*device, MemoryKind::kDevice, bytes);
  const Memory host = Allocate(*device, MemoryKind::kHost, bytes);
  const auto pattern = Pattern(bytes, 11);
  // Ordinary -> device -> device -> pinned -> ordinary.
  REQUIRE_OK(stream->Copy(a.data(), pattern.data(), bytes));
  REQUIRE_OK(stream->Copy(b.data(), a.data(), bytes));
  REQUIRE_OK(stream->Copy(host.data(), b.data(), bytes));
  REQUIRE(Fetch(*stream, host.data(), bytes) == pattern);
  // Pinned -> device.
  REQUIRE_OK(stream->Zero(a.data(), bytes));
  REQUIRE_OK(stream->Copy(a.data(), host.data(), bytes));
  REQUIRE(Fetch(*stream, a.data(), bytes) == pattern);
}

TEST_CASE("copies may start and end anywhere") {
  const auto device = MakeDeviceUnderTest();
  const auto stream = CreateStream(*device);
  constexpr size_t kBytes = 256;
  const Memory memory = Allocate(*device, MemoryKind::kDevice, kBytes);
  auto* const base = static_cast<uint8_t*>(memory.data());
  const auto pattern = Pattern(kBytes, 5);
  const size_t offset = GENERATE(0, 1, 3, 17);
  const size_t bytes = GENERATE(1, 5, 64, 200);
  REQUIRE_OK(stream->Zero(base, kBytes));
  REQUIRE_OK(stream->Copy(base + offset, pattern.data() + 2, bytes));
  std::vector<uint8_t> expected(kBytes, 0);
  std::copy_n(pattern.begin() + 2, bytes,
              expected.begin() + static_cast<int64_t>(offset));
  REQUIRE(Fetch(*stream, base, kBytes) == expected);
}

TEST_CASE("Zero fills what it is given, and no more") {
  const auto device = MakeDeviceUnderTest();
  const auto stream = CreateStream(*device);
  const auto pattern = Pattern(100, 1);
  const Memory memory = Allocate(*device, MemoryKind::kDevice, 100);
  auto* const base = static_cast<uint8_t*>(memory.data());
  REQUIRE_OK(stream->Copy(base, pattern.data(), 100));
  REQUIRE_OK(stream->Zero(base + 10, 33));
  auto expected = pattern;
  std::fill_n(expected.begin() + 10, 33, uint8_t{0});
  REQUIRE(Fetch(*stream, base, 100) == expected);
}

TEST_CASE("a stream does its work in order") {
  const auto device = MakeDeviceUnderTest();
  const auto stream = CreateStream(*device);
  constexpr size_t kBytes = 1 << 18;
  const Memory memory = Allocate(*device, MemoryKind::kDevice, kBytes);
  const Memory host = Allocate(*device, MemoryKind::kHost, kBytes);
  const auto first = Pattern(kBytes, 1);
  std::memcpy(host.data(), first.data(), kBytes);
  for (int i = 0; i < 20; ++i) {
    REQUIRE_OK(stream->Zero(memory.data(), kBytes));
    REQUIRE_OK(stream->Copy(memory.data(), host.data(), kBytes));
  }
  REQUIRE(Fetch(*stream, memory.data(), kBytes) == first);
}

TEST_CASE("an event orders two streams and this thread") {
  const auto device = MakeDeviceUnderTest();
  const auto producer = CreateStream(*device);
  const auto consumer = CreateStream(*device);
  auto event = device->CreateEvent();
  REQUIRE_OK(event);
  REQUIRE_OK((*event)->Synchronize());  // Never recorded: passed.
  constexpr size_t kBytes = 1 << 20;
  const Memory source = Allocate(*device, MemoryKind::kHost, kBytes);
  const Memory middle = Allocate(*device, MemoryKind::kDevice, kBytes);
  const Memory target = Allocate(*device, MemoryKind::kHost, kBytes);
  for (int round = 0; round < 5; ++round) {
    const auto pattern = Pattern(kBytes, round);
    std::memcpy(source.data(), pattern.data(), kBytes);
    REQUIRE_OK(producer->Copy(middle.data(), source.data(), kBytes));
    REQUIRE_OK(producer->Record(**event));
    REQUIRE_OK(consumer->WaitFor(**event));
    REQUIRE_OK(consumer->Copy(target.data(), middle.data(), kBytes));
    REQUIRE_OK(consumer->Record(**event));
    REQUIRE_OK((*event)->Synchronize());
    REQUIRE(std::memcmp(target.data(), pattern.data(), kBytes) == 0);
  }
}

TEST_CASE("pinned memory of others is copied to and from, and stays theirs") {
  const auto device = MakeDeviceUnderTest();
  const auto stream = CreateStream(*device);
  constexpr size_t kBytes = 1 << 16;
  const std::unique_ptr<void, decltype(&std::free)> owned(
      std::aligned_alloc(4096, kBytes), &std::free);
  const auto pattern = Pattern(kBytes, 2);
  std::memcpy(owned.get(), pattern.data(), kBytes);
  const Memory memory = Allocate(*device, MemoryKind::kDevice, kBytes);
  {
    auto pinned = device->Pin(owned.get(), kBytes);
    REQUIRE_OK(pinned);
    HostPin pin = *std::move(pinned);
    const HostPin moved = std::move(pin);
    REQUIRE_OK(stream->Copy(memory.data(), owned.get(), kBytes));
    REQUIRE_OK(stream->Synchronize());
    std::memset(owned.get(), 0, kBytes);
    REQUIRE_OK(stream->Copy(owned.get(), memory.data(), kBytes));
    REQUIRE_OK(stream->Synchronize());
  }
  REQUIRE(std::memcmp(owned.get(), pattern.data(), kBytes) == 0);
  // It can be pinned again.
  REQUIRE_OK(device->Pin(owned.get(), kBytes));
}

TEST_CASE("the end of a stream waits for its work") {
  const auto device = MakeDeviceUnderTest();
  constexpr size_t kBytes = 1 << 20;
  const auto pattern = Pattern(kBytes, 9);
  const Memory source = Allocate(*device, MemoryKind::kHost, kBytes);
  const Memory target = Allocate(*device, MemoryKind::kHost, kBytes);
  std::memcpy(source.data(), pattern.data(), kBytes);
  {
    const auto stream = CreateStream(*device);
    REQUIRE_OK(stream->Copy(target.data(), source.data(), kBytes));
  }
  REQUIRE(std::memcmp(target.data(), pattern.data(), kBytes) == 0);
}

TEST_CASE("pinned memory is known as such") {
  const auto device = MakeDeviceUnderTest();
  const Memory memory = Allocate(*device, MemoryKind::kHost, 100);
  REQUIRE(device->IsPinned(memory.data()));
  REQUIRE(device->IsPinned(static_cast<uint8_t*>(memory.data()) + 99));
}

TEST_CASE("threads may use one device at once") {
  const auto device = MakeDeviceUnderTest();
  constexpr int kThreads = 4;
  constexpr size_t kBytes = 10000;
  std::vector<int> good(kThreads, 0);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const auto pattern = Pattern(kBytes, t);
      for (int round = 0; round < 20; ++round) {
        auto stream = device->CreateStream();
        auto memory = device->Allocate(MemoryKind::kDevice, kBytes);
        std::vector<uint8_t> fetched(kBytes);
        if (!stream.ok() || !memory.ok()) return;
        if ((*stream)->Copy(memory->data(), pattern.data(), kBytes).ok() &&
            (*stream)->Copy(fetched.data(), memory->data(), kBytes).ok() &&
            (*stream)->Synchronize().ok() && fetched == pattern) {
          ++good[static_cast<size_t>(t)];
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(good == std::vector<int>(kThreads, 20));
}

}  // namespace
}  // namespace tessera
