#include "common/shm/shared_view.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <limits>
#include <string>

#include "common/shm/shared_region.h"
#include "tests/support/status.h"
#include "tests/unit/shm/open_descriptors.h"

namespace tessera {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
constexpr uint64_t kMiB = 1 << 20;

UniqueFd Duplicate(int fd) {
  UniqueFd copy(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  REQUIRE(copy);
  return copy;
}

UniqueFd MakeMemfd(unsigned flags, off_t bytes, int seals) {
  UniqueFd fd(memfd_create("test", flags | MFD_CLOEXEC));
  REQUIRE(fd);
  REQUIRE(ftruncate(fd.get(), bytes) == 0);
  if (seals != 0) REQUIRE(fcntl(fd.get(), F_ADD_SEALS, seals) == 0);
  return fd;
}

struct Shared {
  std::shared_ptr<SharedRegion> region;
  uint8_t* data;  // All of it.
  std::shared_ptr<const SharedView> view;
};

Shared Share(uint64_t bytes) {
  auto region = SharedRegion::Create(bytes);
  REQUIRE_OK(region);
  auto data = (*region)->Allocate(bytes);
  REQUIRE_OK(data);
  auto view = SharedView::Map(Duplicate((*region)->fd()), bytes);
  REQUIRE_OK(view);
  return {*region, static_cast<uint8_t*>(*data), *view};
}

TEST_CASE("a view shows the region's own bytes, as they change") {
  const Shared shared = Share(kMiB);
  REQUIRE(shared.view->size() == kMiB);
  const auto bytes = shared.view->Bytes(1000, 2);
  REQUIRE_OK(bytes);
  REQUIRE(bytes->data() != shared.data + 1000);
  REQUIRE((*bytes)[1] == 0);
  shared.data[1001] = 42;
  REQUIRE((*bytes)[1] == 42);
}

TEST_CASE("a view gives what lies in the region, and nothing else") {
  const Shared shared = Share(kMiB);
  const SharedView& view = *shared.view;
  REQUIRE(view.Bytes(0, kMiB)->size() == kMiB);
  REQUIRE(view.Bytes(kMiB, 0)->empty());
  REQUIRE(view.Bytes(kMiB - 1, 1)->size() == 1);
  const auto [offset, length] = GENERATE(table<uint64_t, uint64_t>({
      {0, kMiB + 1},
      {1, kMiB},
      {kMiB, 1},
      {kMiB + 1, 0},
      {0, kMax},
      {kMax, 0},
      {kMax, 1},
      {kMax, kMax},
      {1, kMax},
      {kMax - 1, 2},
  }));
  REQUIRE_ERROR(view.Bytes(offset, length), kInvalid, std::to_string(offset),
                std::to_string(length), "1048576");
}

TEST_CASE("a view cannot be made writable") {
  const Shared shared = Share(kMiB);
  const uint8_t* const data = shared.view->Bytes(0, kMiB)->data();
  REQUIRE(mprotect(const_cast<uint8_t*>(data), kMiB, PROT_READ | PROT_WRITE) !=
          0);
}

TEST_CASE("a view outlives the region that it shows") {
  Shared shared = Share(kMiB);
  shared.data[5] = 9;
  shared.region.reset();
  REQUIRE(shared.view->Bytes(5, 1)->front() == 9);
}

TEST_CASE("only sealed memory is mapped, and nothing is leaked") {
  const int descriptors = OpenDescriptors();
  const int mappings = MappedRegions();
  std::FILE* const ordinary = std::tmpfile();
  REQUIRE(ordinary != nullptr);
  REQUIRE(ftruncate(fileno(ordinary), kMiB) == 0);
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  const UniqueFd in(ends[0]);
  const UniqueFd out(ends[1]);

  REQUIRE_ERROR(SharedView::Map(UniqueFd(), kMax), kInvalid, "memfd");
  REQUIRE_ERROR(SharedView::Map(Duplicate(fileno(ordinary)), kMax), kInvalid);
  REQUIRE_ERROR(SharedView::Map(Duplicate(in.get()), kMax), kInvalid);
  REQUIRE_ERROR(SharedView::Map(MakeMemfd(0, kMiB, 0), kMax), kInvalid);
  REQUIRE_ERROR(SharedView::Map(MakeMemfd(MFD_ALLOW_SEALING, kMiB, 0), kMax),
                kInvalid, "sealed against shrinking");
  REQUIRE_ERROR(
      SharedView::Map(MakeMemfd(MFD_ALLOW_SEALING, kMiB, F_SEAL_GROW), kMax),
      kInvalid);
  REQUIRE_ERROR(
      SharedView::Map(MakeMemfd(MFD_ALLOW_SEALING, 0, F_SEAL_SHRINK), kMax),
      kInvalid, "at least 1 byte");
  std::fclose(ordinary);
  REQUIRE(MappedRegions() == mappings);
  REQUIRE(OpenDescriptors() == descriptors + 2);
}

TEST_CASE("memory of huge pages, which may run out, is not mapped") {
  const UniqueFd fd(
      memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB));
  if (!fd || ftruncate(fd.get(), 2 * kMiB) != 0) {
    WARN("no huge pages here: not tested");
    return;
  }
  REQUIRE(fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK) == 0);
  REQUIRE_ERROR(SharedView::Map(Duplicate(fd.get()), kMax), kInvalid);
}

TEST_CASE("a descriptor that is not open for reading is not mapped") {
  const UniqueFd fd = MakeMemfd(MFD_ALLOW_SEALING, kMiB, F_SEAL_SHRINK);
  const std::string path = "/proc/self/fd/" + std::to_string(fd.get());
  UniqueFd write_only(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  REQUIRE(write_only);
  REQUIRE_ERROR(SharedView::Map(std::move(write_only), kMax), kInvalid,
                "reading");
}

TEST_CASE("memory sealed against shrinking only is mapped as large as it was") {
  const UniqueFd fd = MakeMemfd(MFD_ALLOW_SEALING, 5000, F_SEAL_SHRINK);
  const auto view = SharedView::Map(Duplicate(fd.get()), 5000);
  REQUIRE_OK(view);
  REQUIRE(ftruncate(fd.get(), kMiB) == 0);
  REQUIRE((*view)->Bytes(0, 5000)->back() == 0);
  REQUIRE_ERROR((*view)->Bytes(0, 5001), kInvalid, "5000");
}

TEST_CASE("a region above the limit is refused") {
  const auto region = SharedRegion::Create(2 * kMiB);
  REQUIRE_OK(region);
  REQUIRE_ERROR(SharedView::Map(Duplicate((*region)->fd()), 2 * kMiB - 1),
                absl::StatusCode::kOutOfRange, "2097152", "2097151");
}

}  // namespace
}  // namespace tessera
