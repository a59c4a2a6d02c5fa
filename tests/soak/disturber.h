// Carries out a soak's actions on a run.

#ifndef TESSERA_TESTS_SOAK_DISTURBER_H_
#define TESSERA_TESTS_SOAK_DISTURBER_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/soak/actions.h"
#include "tests/soak/guest_worker.h"
#include "tests/soak/recovery_clock.h"
#include "tests/soak/soak_run.h"

namespace tessera {

// Not thread-safe. Codes of all: DEADLINE_EXCEEDED when the run does not get
// where it should, ABORTED when it ended too early; the message says where it
// stands.
class Disturber {
 public:
  // `run` must outlive it, and have at least two servers.
  Disturber(SoakRun& run, uint64_t seed);

  // Waits until all servers serve, and starts the guest.
  absl::Status Begin();

  // Waits until so many steps are done and nothing of earlier actions is left
  // to recover from.
  absl::Status AwaitSteps(int64_t steps);

  // Codes: also INTERNAL when there was nobody to do it to.
  absl::Status Do(Action action);

  // Watches until the launcher has ended.
  absl::Status AwaitEnd(absl::Duration timeout);

  // The guest finds nobody to tell it that the job has ended. Returns how many
  // bytes its proxies have brought it.
  int64_t DismissGuest() {
    const int64_t bytes = guest_->bytes_received();
    guest_.reset();
    return bytes;
  }

  const RecoveryClock& clock() const { return clock_; }
  // Times that a process was killed, by what it was.
  const std::map<std::string, int>& kills() const { return kills_; }
  int kill_count() const;
  // Of servers, before a step was done since another's death.
  int kills_while_recovering() const { return kills_while_recovering_; }

 private:
  // One look at the status.
  void Look();
  // Looks until it holds.
  absl::Status LookUntil(const std::string& what,
                         const std::function<bool()>& condition,
                         absl::Duration timeout);
  absl::Status KillAtOnce(const std::vector<int>& shards, int workers);
  absl::Status KillAllWorkers();
  absl::Status KillServerAgain();
  absl::Status StopFor(pid_t pid, absl::Duration time);
  absl::StatusOr<pid_t> AnyWorker();
  absl::Status StopWorkerPastLease();
  absl::Status SlowWorker();
  absl::Status StopServer();
  void Kill(const std::string& kind, pid_t pid);
  std::string Where() const;
  int AnyShard();
  int ShardButZero();

  SoakRun& run_;
  std::mt19937_64 random_;
  RecoveryClock clock_;
  std::unique_ptr<GuestWorker> guest_;
  std::string last_status_ = "no status yet";
  std::map<std::string, int> kills_;
  int kills_while_recovering_ = 0;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_SOAK_DISTURBER_H_
