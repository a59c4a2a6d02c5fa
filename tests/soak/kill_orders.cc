#include "tests/soak/kill_orders.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "tests/support/kill_point_storage.h"

namespace tessera {
namespace {

absl::StatusOr<KillOrder> ParseOrder(absl::string_view text) {
  const std::vector<std::string> parts =
      absl::StrSplit(text, absl::ByAnyChar(":@"));
  KillOrder order;
  if (parts.size() == 3 && absl::SimpleAtoi(parts[1], &order.passings) &&
      absl::SimpleAtoi(parts[2], &order.shard)) {
    order.point = parts[0];
    const auto points = KillPoints();
    const bool is_point = std::any_of(
        points.begin(), points.end(),
        [&](const auto& point) { return order.point == point.name; });
    if (is_point && order.passings >= 1 && order.shard >= 0) return order;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", text, "\": expected NAME:PASSINGS@SHARD"));
}

}  // namespace

std::string ToString(const KillOrder& order) {
  return absl::StrCat(order.point, ":", order.passings, "@", order.shard);
}

absl::StatusOr<std::vector<KillOrder>> ParseKillOrders(absl::string_view text) {
  std::vector<KillOrder> orders;
  for (const auto part : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    TESSERA_ASSIGN_OR_RETURN(KillOrder order, ParseOrder(part));
    orders.push_back(std::move(order));
  }
  return orders;
}

std::string MarkerOf(const std::string& folder, const KillOrder& order) {
  return absl::StrCat(folder, "/", ToString(order));
}

KillOrders::KillOrders(const std::vector<KillOrder>& orders, int shard,
                       std::string marker_folder)
    : marker_folder_(std::move(marker_folder)) {
  for (const KillOrder& order : orders) {
    const bool is_done = ReadFile(MarkerOf(marker_folder_, order)).ok();
    if (order.shard == shard && !is_done) pending_.push_back({order});
  }
}

void KillOrders::Pass(absl::string_view point) {
  MutexLock lock(&mutex_);
  for (Pending& pending : pending_) {
    if (pending.order.point != point) continue;
    if (++pending.passed != pending.order.passings) continue;
    const std::string marker = MarkerOf(marker_folder_, pending.order);
    TESSERA_CHECK(WriteFileAtomically(marker, "").ok());
    kill(getpid(), SIGKILL);
    while (true) pause();
  }
}

}  // namespace tessera
