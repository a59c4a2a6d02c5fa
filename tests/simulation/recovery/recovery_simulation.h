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
  // Answers to whoever asked for a checkpoint, by kind.
  std::map<std::string, int64_t> asked;
  // Virtual time from the last fault to the job's end.
  int64_t recovery_us = 0;
};

// Runs a job drawn from the seed, on servers, workers, a network, a disk and
// faults drawn likewise. Real are the coordinator, the agents' plan, the shard
// stores and all that writes and reads checkpoints. Others go on in between the
// operations that a process does on the disk. Faults cease after a while.
// Checked on the way:
//   every block that anyone is answered with is the reference's, bit for bit,
//   when it is sent and when it comes;
//   every microbatch of every step is counted once, in the generation that it
//   was granted in;
//   every checkpoint that was acknowledged, and that retention keeps, is whole
//   and the reference's, after any crash;
//   all shards start a generation from the same set, and none goes back to an
//   older one;
//   a process that was replaced gets no orders;
//   no call is refused for a reason that a correct caller cannot have;
//   nothing is granted while servers are not ready;
// and at the end, within a bounded time from the last fault, that the job has
// ended as the reference does: last version, reason, evaluations, step records;
// that the blocks are at that version; that a checkpoint of it survives the
// loss of all that was not synced; and that whoever asked for one has an
// answer.
RecoveryResult SimulateRecovery(const RecoveryOptions& options);

}  // namespace tessera

#endif  // TESSERA_TESTS_SIMULATION_RECOVERY_RECOVERY_SIMULATION_H_
