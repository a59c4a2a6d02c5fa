// What a soak does to a run, and when.

#ifndef TESSERA_TESTS_SOAK_ACTIONS_H_
#define TESSERA_TESTS_SOAK_ACTIONS_H_

#include <cstdint>
#include <random>
#include <vector>

namespace tessera {

enum class Action {
  kKillWorker,
  kKillServer,           // Not shard 0's.
  kKillCoordinator,      // Shard 0's server.
  kKillServerAndWorker,  // At once.
  kKillTwoServers,       // At once.
  kKillAllWorkers,       // At once.
  kKillServerAgain,      // One, and another (or its successor) while the job
                         // has not recovered.
  kStopWorkerPastLease,  // SIGSTOP, and SIGCONT once its work is another's.
  kSlowWorker,           // To a tenth of its speed, for two seconds.
  kStopServer,           // SIGSTOP, and SIGCONT after a moment.
  kCutConnections,       // Of a worker that is behind a proxy.
};
inline constexpr int kActions = 11;

const char* NameOf(Action action);

// Processes that it kills, where a run has so many workers.
int KillsOf(Action action, int workers);

// Just enough actions for `kills` kills: all kinds of actions once, in chance's
// order, then all of them again.
std::vector<Action> DrawActions(int kills, int workers,
                                std::mt19937_64& random);

// When each of `count` actions is due, in steps done of `steps`: evenly spread,
// with a third of the distance left to chance; none in the last part.
std::vector<int64_t> DrawMoments(int count, int64_t steps,
                                 std::mt19937_64& random);

}  // namespace tessera

#endif  // TESSERA_TESTS_SOAK_ACTIONS_H_
