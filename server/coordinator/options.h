// How a coordinator is set up, beside its job.

#ifndef TESSERA_SERVER_COORDINATOR_OPTIONS_H_
#define TESSERA_SERVER_COORDINATOR_OPTIONS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tessera/v1/checkpoint.pb.h"

namespace tessera {

// What training can go on from: a complete checkpoint, or (set 0, version 0)
// the job's initial parameters.
struct RestorePoint {
  int64_t version = 0;
  uint64_t set_id = 0;
  v1::CoordinatorState state;  // As of before the evaluation of `version`.
};

struct CoordinatorOptions {
  absl::Duration lease = absl::Seconds(10);
  // Added to worker ids, so that those of a coordinator that was started anew
  // differ from its predecessor's.
  uint64_t first_worker_id = 1;
  // Generations are above it. Where servers attend it must be one that a
  // coordinator which was started anew does not share with its predecessors:
  // when all servers die at once, only workers know which generations there
  // were.
  int64_t generation_floor = 0;
  int shard_count = 1;

  // Whether servers attend. If not, they are taken to be there always: nothing
  // is restored, the generation stays 0 and there are no checkpoints.
  bool servers_attend = false;
  // Whether checkpoints are made; for servers that attend.
  bool makes_checkpoints = false;
  // The job's complete sets at the start, newest first. Versions that the job
  // does not have are passed over.
  std::vector<RestorePoint> restore_points;
  // Gives a new number with each call, never 0; not even one that another
  // coordinator of the job was given. Must be set where servers attend.
  std::function<uint64_t()> draw_set_id;
  // Where a set lies, for people; may be null.
  std::function<std::string(int64_t version, uint64_t set_id)> describe_set;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_COORDINATOR_OPTIONS_H_
