// A whole job on servers that come and go, in virtual time: a pure function of
// its seed.

#ifndef TESSERA_TESTS_SIMULATION_RECOVERY_RECOVERY_SIMULATION_H_
#define TESSERA_TESTS_SIMULATION_RECOVERY_RECOVERY_SIMULATION_H_

#include <cstdint>
#include <map>
#include <string>

#include "tessera/v1/coordinator.pb.h"

namespace tessera {

struct RecoveryOptions {
  uint64_t seed = 0;
  bool keep_trace = false;
};

struct RecoveryResult {
  // What went wrong, or empty.
  std::string complaint;
  // Lines of what happened, if asked for.
  std::string trace;
  uint64_t trace_hash = 0;
  v1::GetStatusResponse status;  // At the end.
  // How much the run was worth.
  int64_t events = 0;
  std::map<std::string, int64_t> faults;  // By kind.
  int64_t generations = 0;
  int64_t checkpoints = 0;
  int64_t failed_checkpoints = 0;
  int64_t restores = 0;
};

// Runs a job drawn from the seed, on servers, workers, a network, a disk and
// faults drawn likewise. Real are the coordinator, the agents' plan, the shard
// stores and all that writes and reads checkpoints. Faults cease after a while.
// Checked on the way:
//   every block that anyone is answered with is the reference's, bit for bit;
//   a checkpoint that was acknowledged is whole, after any crash;
//   no call is refused for a reason that a correct caller cannot have;
//   nothing is granted while servers are not ready;
// and at the end, that the job has ended as the reference does: last version,
// reason, evaluations, step records; that the blocks are at that version; and
// that a checkpoint of it survives the loss of all that was not synced.
RecoveryResult SimulateRecovery(const RecoveryOptions& options);

}  // namespace tessera

#endif  // TESSERA_TESTS_SIMULATION_RECOVERY_RECOVERY_SIMULATION_H_
