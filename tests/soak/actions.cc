#include "tests/soak/actions.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace tessera {

const char* NameOf(Action action) {
  switch (action) {
    case Action::kKillWorker:
      return "kill a worker";
    case Action::kKillServer:
      return "kill a server";
    case Action::kKillCoordinator:
      return "kill shard 0's server";
    case Action::kKillServerAndWorker:
      return "kill a server and a worker";
    case Action::kKillTwoServers:
      return "kill two servers";
    case Action::kKillAllWorkers:
      return "kill all workers";
    case Action::kKillServerAgain:
      return "kill a server, and one more while the job recovers";
    case Action::kStopWorkerPastLease:
      return "stop a worker past its lease";
    case Action::kSlowWorker:
      return "slow a worker down";
    case Action::kStopServer:
      return "stop a server for a moment";
    case Action::kCutConnections:
      return "cut a worker's connections";
  }
  TESSERA_CHECK(false);
}

int KillsOf(Action action, int workers) {
  switch (action) {
    case Action::kKillWorker:
    case Action::kKillServer:
    case Action::kKillCoordinator:
      return 1;
    case Action::kKillServerAndWorker:
    case Action::kKillTwoServers:
    case Action::kKillServerAgain:
      return 2;
    case Action::kKillAllWorkers:
      return workers;
    default:
      return 0;
  }
}

std::vector<Action> DrawActions(int kills, int workers,
                                std::mt19937_64& random) {
  std::vector<Action> actions;
  std::vector<Action> deck;
  while (kills > 0) {
    if (deck.empty()) {
      for (int i = 0; i < kActions; ++i) deck.push_back(Action(i));
      // Not std::shuffle, which may differ between libraries.
      for (size_t i = deck.size(); i > 1; --i) {
        std::swap(deck[i - 1], deck[random() % i]);
      }
    }
    actions.push_back(deck.back());
    kills -= KillsOf(deck.back(), workers);
    deck.pop_back();
  }
  return actions;
}

std::vector<int64_t> DrawMoments(int count, int64_t steps,
                                 std::mt19937_64& random) {
  const int64_t distance = steps / (count + 1);
  const auto chance = static_cast<uint64_t>(std::max<int64_t>(distance / 3, 1));
  std::vector<int64_t> moments;
  for (int i = 0; i < count; ++i) {
    moments.push_back(i * distance + distance / 2 +
                      static_cast<int64_t>(random() % chance));
  }
  return moments;
}

}  // namespace tessera
