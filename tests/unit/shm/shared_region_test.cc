#include "common/shm/shared_region.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <limits>
#include <thread>
#include <vector>

#include "tests/support/status.h"
#include "tests/unit/shm/open_descriptors.h"

namespace tessera {
namespace {

constexpr auto kExhausted = absl::StatusCode::kResourceExhausted;
constexpr uint64_t kMiB = 1 << 20;

std::shared_ptr<SharedRegion> MakeRegion(uint64_t bytes) {
  auto region = SharedRegion::Create(bytes);
  REQUIRE_OK(region);
  return *std::move(region);
}

uint8_t* Allocate(SharedRegion& region, size_t bytes) {
  const auto data = region.Allocate(bytes);
  REQUIRE_OK(data);
  return static_cast<uint8_t*>(*data);
}

TEST_CASE("a region has whole pages, and no size that it cannot have") {
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  REQUIRE(MakeRegion(1)->size() == page);
  REQUIRE(MakeRegion(page)->size() == page);
  REQUIRE(MakeRegion(page + 1)->size() == 2 * page);
  const uint64_t bytes =
      GENERATE(uint64_t{0}, std::numeric_limits<uint64_t>::max(),
               uint64_t{std::numeric_limits<int64_t>::max()});
  REQUIRE_ERROR(SharedRegion::Create(bytes), absl::StatusCode::kInvalidArgument,
                std::to_string(bytes));
}

TEST_CASE("more address space than there is gives an error, and no leak") {
  const int before = OpenDescriptors();
  REQUIRE_ERROR(SharedRegion::Create(uint64_t{1} << 61), kExhausted);
  REQUIRE(OpenDescriptors() == before);
}

TEST_CASE("a large region costs nothing until it is used") {
  const auto region = MakeRegion(uint64_t{1} << 36);
  struct stat file;
  REQUIRE(fstat(region->fd(), &file) == 0);
  REQUIRE(file.st_blocks == 0);
  Allocate(*region, 8 * kMiB);
  REQUIRE(fstat(region->fd(), &file) == 0);
  REQUIRE(file.st_blocks * 512 == 8 * kMiB);
}

TEST_CASE("pieces are aligned, apart from each other, zero, and writable") {
  const auto region = MakeRegion(4 * kMiB);
  uint8_t* end = Allocate(*region, 0);
  for (const size_t bytes : {1, 63, 64, 65, 65535, 65536, 65537, 100}) {
    CAPTURE(bytes);
    uint8_t* const data = Allocate(*region, bytes);
    REQUIRE(data >= end);
    REQUIRE(reinterpret_cast<uintptr_t>(data) %
                (bytes < 65536 ? 64 : static_cast<size_t>(getpagesize())) ==
            0);
    REQUIRE(std::count(data, data + bytes, 0) ==
            static_cast<std::ptrdiff_t>(bytes));
    std::memset(data, 7, bytes);
    end = data + bytes;
  }
}

TEST_CASE("a full region says so, and still gives what fits") {
  const auto region = MakeRegion(kMiB);
  REQUIRE_ERROR(region->Allocate(kMiB + 1), kExhausted, "1048577", "1048576");
  REQUIRE_ERROR(region->Allocate(std::numeric_limits<size_t>::max()),
                kExhausted);
  Allocate(*region, kMiB - 4096);
  REQUIRE_ERROR(region->Allocate(65536), kExhausted, "65536", "1044480");
  Allocate(*region, 4096);
  REQUIRE_ERROR(region->Allocate(0), kExhausted);
}

TEST_CASE("a piece given back is used for the next of its size") {
  const auto region = MakeRegion(kMiB);
  uint8_t* const a = Allocate(*region, 1000);
  uint8_t* const b = Allocate(*region, 2000);
  region->Free(a, 1000);
  REQUIRE(Allocate(*region, 2000) != a);
  REQUIRE(Allocate(*region, 1001) == a);  // As large, once rounded.
  region->Free(b, 2000);
  REQUIRE(Allocate(*region, 2000) == b);
}

TEST_CASE("offsets are given for what lies wholly inside") {
  const auto region = MakeRegion(kMiB);
  const uint8_t* const front = Allocate(*region, kMiB);
  REQUIRE(region->OffsetOf(front, kMiB) == 0);
  REQUIRE(region->OffsetOf(front, 0) == 0);
  REQUIRE(region->OffsetOf(front + 100, 1) == 100);
  REQUIRE(region->OffsetOf(front + kMiB - 1, 1) == kMiB - 1);
  REQUIRE(region->OffsetOf(front + kMiB, 0) == kMiB);
  REQUIRE_FALSE(region->OffsetOf(front, kMiB + 1));
  REQUIRE_FALSE(region->OffsetOf(front + kMiB, 1));
  REQUIRE_FALSE(region->OffsetOf(front - 1, 1));
  REQUIRE_FALSE(
      region->OffsetOf(front + 1, std::numeric_limits<size_t>::max()));
  REQUIRE_FALSE(region->OffsetOf(nullptr, 0));
  const int elsewhere = 0;
  REQUIRE_FALSE(region->OffsetOf(&elsewhere, sizeof(elsewhere)));
}

TEST_CASE("nobody can write to a region through its descriptor") {
  const auto region = MakeRegion(kMiB);
  REQUIRE(mmap(nullptr, kMiB, PROT_READ | PROT_WRITE, MAP_SHARED, region->fd(),
               0) == MAP_FAILED);
  REQUIRE(pwrite(region->fd(), "x", 1, 0) < 0);
  REQUIRE(ftruncate(region->fd(), 0) != 0);
  REQUIRE(ftruncate(region->fd(), 2 * kMiB) != 0);
  REQUIRE(fallocate(region->fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                    4096) != 0);
  REQUIRE(fcntl(region->fd(), F_ADD_SEALS, F_SEAL_WRITE) != 0);
  // By its other name.
  const std::string path = "/proc/self/fd/" + std::to_string(region->fd());
  const int again = open(path.c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(again >= 0);
  REQUIRE(mmap(nullptr, kMiB, PROT_WRITE, MAP_SHARED, again, 0) == MAP_FAILED);
  close(again);
}

TEST_CASE("a region goes with its last user, and has no name") {
  const int descriptors = OpenDescriptors();
  const int mappings = MappedRegions();
  {
    const auto region = MakeRegion(kMiB);
    REQUIRE(MappedRegions() == mappings + 1);
    REQUIRE((fcntl(region->fd(), F_GETFD) & FD_CLOEXEC) != 0);
    struct stat file;
    REQUIRE(fstat(region->fd(), &file) == 0);
    REQUIRE(file.st_nlink == 0);
  }
  REQUIRE(OpenDescriptors() == descriptors);
  REQUIRE(MappedRegions() == mappings);
}

// In a process of its own, which the limit would kill.
TEST_CASE("a limit on file sizes gives an error, not a signal") {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const rlimit limit = {.rlim_cur = kMiB, .rlim_max = kMiB};
    setrlimit(RLIMIT_FSIZE, &limit);
    const bool fits = SharedRegion::Create(kMiB).ok();
    const bool exhausted =
        absl::IsResourceExhausted(SharedRegion::Create(kMiB + 1).status());
    _exit(fits && exhausted ? 0 : 1);
  }
  int status;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  REQUIRE(WEXITSTATUS(status) == 0);
}

TEST_CASE("threads get pieces of their own") {
  constexpr int kThreads = 4;
  constexpr int kRounds = 500;
  const auto region = MakeRegion(16 * kMiB);
  std::vector<int> wrong(kThreads, 0);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const auto mine = static_cast<uint8_t>(t);
      for (int i = 0; i < kRounds; ++i) {
        const size_t bytes = 64 * (1 + static_cast<size_t>(i) % 3);
        const absl::StatusOr<void*> data = region->Allocate(bytes);
        if (!data.ok()) return;
        std::memset(*data, mine, bytes);
        std::this_thread::yield();
        if (std::memchr(*data, mine ^ 1, bytes) != nullptr) {
          ++wrong[static_cast<size_t>(t)];
        }
        region->Free(*data, bytes);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(wrong == std::vector<int>(kThreads, 0));
}

}  // namespace
}  // namespace tessera
