#include "common/shm/lease.h"

#include <fcntl.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "tests/support/status.h"

namespace tessera {
namespace {

constexpr uint64_t kRegionBytes = 1 << 20;

struct Lender {
  Lender() : region(SharedRegion::Create(kRegionBytes).value()) {
    REQUIRE(region->Allocate(64).ok());  // So that the table is not at 0.
    table = LeaseTable::Create(region).value();
    view = SharedView::Map(UniqueFd(fcntl(region->fd(), F_DUPFD_CLOEXEC, 0)),
                           kRegionBytes)
               .value();
  }

  LeaseCheck Check(const Lease& lease) {
    auto check = LeaseCheck::Create(view, lease);
    REQUIRE_OK(check);
    return *check;
  }

  std::shared_ptr<SharedRegion> region;
  std::unique_ptr<LeaseTable> table;
  std::shared_ptr<const SharedView> view;
};

TEST_CASE("a lease holds until it is revoked, and never again") {
  Lender lender;
  const Lease a = *lender.table->Grant();
  const Lease b = *lender.table->Grant();
  const LeaseCheck check_a = lender.Check(a);
  const LeaseCheck check_b = lender.Check(b);
  REQUIRE(check_a.Valid());
  lender.table->Revoke(a);
  REQUIRE_FALSE(check_a.Valid());
  REQUIRE(check_b.Valid());
  // Whoever has the word next.
  std::vector<Lease> others;
  for (int i = 0; i < LeaseTable::kMaxLeases - 1; ++i) {
    others.push_back(*lender.table->Grant());
  }
  REQUIRE(others.back().offset == a.offset);
  REQUIRE(lender.Check(others.back()).Valid());
  REQUIRE_FALSE(check_a.Valid());
}

TEST_CASE("leases are told apart, and end") {
  Lender lender;
  std::set<uint64_t> offsets;
  for (int i = 0; i < LeaseTable::kMaxLeases; ++i) {
    const auto lease = lender.table->Grant();
    REQUIRE_OK(lease);
    REQUIRE(lease->value != 0);
    REQUIRE(offsets.insert(lease->offset).second);
  }
  REQUIRE_ERROR(lender.table->Grant(), absl::StatusCode::kResourceExhausted,
                "1024");
  lender.table->Revoke({.offset = *offsets.begin(), .value = 1});
  REQUIRE_OK(lender.table->Grant());
}

TEST_CASE("a lease from outside is checked") {
  Lender lender;
  const auto [offset, value] = GENERATE(table<uint64_t, uint32_t>({
      {kRegionBytes, 1},
      {kRegionBytes - 3, 1},
      {~uint64_t{0}, 1},
      {2, 1},
      {64, 0},
  }));
  REQUIRE_ERROR(LeaseCheck::Create(lender.view, {offset, value}),
                absl::StatusCode::kInvalidArgument, std::to_string(offset));
}

TEST_CASE("no table fits a region that is full") {
  const auto region = SharedRegion::Create(4096).value();
  REQUIRE(region->Allocate(64).ok());
  REQUIRE_ERROR(LeaseTable::Create(region),
                absl::StatusCode::kResourceExhausted);
}

// The owner fills a page with the lease's number, and with the next one's as
// soon as the lease is revoked. A copy that was found valid is of one number.
TEST_CASE("a copy that saw later bytes is found out") {
  constexpr int kRounds = 20000;
  constexpr size_t kBytes = 4096;
  Lender lender;
  auto* const data = static_cast<uint8_t*>(*lender.region->Allocate(kBytes));
  const absl::Span<const uint8_t> lent =
      *lender.view->Bytes(*lender.region->OffsetOf(data, kBytes), kBytes);
  const auto byte_of = [](int round) { return static_cast<uint8_t>(round); };

  // Stands for the messages by which leases reach the reader.
  Mutex mutex;
  int round = 0;
  std::memset(data, byte_of(0), kBytes);
  Lease lease = *lender.table->Grant();
  std::thread owner([&] {
    for (int i = 1; i <= kRounds; ++i) {
      lender.table->Revoke(lease);
      std::memset(data, byte_of(i), kBytes);
      MutexLock lock(&mutex);
      lease = *lender.table->Grant();
      round = i;
    }
  });
  int valid = 0;
  int wrong = 0;
  for (int seen = 0; seen < kRounds;) {
    mutex.Lock();
    seen = round;
    const LeaseCheck check = *LeaseCheck::Create(lender.view, lease);
    mutex.Unlock();
    const std::vector<uint8_t> copy(lent.begin(), lent.end());
    if (!check.Valid()) continue;
    ++valid;
    if (std::count(copy.begin(), copy.end(), byte_of(seen)) != kBytes) ++wrong;
  }
  owner.join();
  REQUIRE(valid > 0);
  REQUIRE(wrong == 0);
}

}  // namespace
}  // namespace tessera
