#include "tests/simulation/recovery/operator.h"

#include <optional>

#include "absl/strings/str_cat.h"

namespace tessera {
namespace {

constexpr int64_t kLookUs = 20'000;

}  // namespace

void Operator::Begin() {
  // Some never ask.
  if (cluster_.random.Chance(0.7)) Soon();
}

void Operator::Soon() {
  const auto gap =
      static_cast<int64_t>(cluster_.random.LogBetween(50'000, 4'000'000));
  cluster_.queue.After(gap, [this] {
    Ask();
    Soon();
  });
}

void Operator::Ask() {
  const Server server = cluster_.ServerOf(0);
  if (server == nullptr || server->coordinator() == nullptr) return;
  cluster_.wire.In(server, 0, [this, server] {
    const auto set_id =
        server->coordinator()->RequestCheckpoint(cluster_.Now());
    if (absl::IsUnavailable(set_id.status())) {
      ++answers_["refused while servers are away"];
      return;
    }
    if (!set_id.ok()) return cluster_.Complain(set_id.status().ToString());
    cluster_.Note(-1, "asks for a checkpoint");
    asked_.emplace_back(server, *set_id);
    Look(server, *set_id);
  });
}

void Operator::Look(const Server& server, uint64_t set_id) {
  const std::optional<CheckpointOutcome> outcome =
      server->coordinator()->OutcomeOf(set_id);
  if (outcome.has_value()) return TakeOutcome(*outcome);
  cluster_.wire.In(server, kLookUs,
                   [this, server, set_id] { Look(server, set_id); });
}

void Operator::TakeOutcome(const CheckpointOutcome& outcome) {
  if (absl::IsAborted(outcome.status)) {
    ++answers_["failed"];
    return;
  }
  if (!outcome.status.ok()) {
    return cluster_.Complain(absl::StrCat("a checkpoint that was asked for: ",
                                          outcome.status.ToString()));
  }
  ++answers_["done"];
  if (!cluster_.kept.MayBe(outcome.set_id)) {
    cluster_.Complain(absl::StrCat("a checkpoint of version ", outcome.version,
                                   " is said to be there that nobody wrote"));
  }
}

void Operator::CheckAnswers() {
  for (const auto& [server, set_id] : asked_) {
    if (server != cluster_.ServerOf(0)) continue;
    if (server->coordinator()->OutcomeOf(set_id).has_value()) continue;
    cluster_.Complain("a checkpoint that was asked for has come to nothing");
  }
}

}  // namespace tessera
