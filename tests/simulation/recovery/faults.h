// What goes wrong in a simulated cluster, and when.

#ifndef TESSERA_TESTS_SIMULATION_RECOVERY_FAULTS_H_
#define TESSERA_TESTS_SIMULATION_RECOVERY_FAULTS_H_

#include <cstdint>
#include <map>
#include <string>

#include "tests/simulation/recovery/cluster.h"
#include "tests/simulation/recovery/population.h"

namespace tessera {

// Not thread-safe.
class Faults {
 public:
  // Both must outlive it. How often and how badly is drawn.
  Faults(Cluster& cluster, Population& population);

  // Faults come from now on, until that time; then none is left.
  void Begin(int64_t until_us);

  // How many of each kind there were.
  std::map<std::string, int64_t> Counts() const;

 private:
  void Soon();
  void One();
  void KillServer();
  void ReplaceServer();
  void KillWorker();
  void KillEverybody();
  void Stall();
  void Cut();
  void FailDisk();
  void FillDisk();
  void CrashMachine();
  void DamageSet();
  void JumpClock();
  void Cease();

  Random& random() { return cluster_.random; }
  int AnyShard();
  Place AnyPlace();

  Cluster& cluster_;
  Population& population_;
  const double mean_gap_us_;
  int64_t until_us_ = 0;
  std::map<std::string, int64_t> counts_;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_SIMULATION_RECOVERY_FAULTS_H_
