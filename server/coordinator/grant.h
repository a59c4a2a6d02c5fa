// What workers are handed, and what they say when they ask for it.

#ifndef TESSERA_SERVER_COORDINATOR_GRANT_H_
#define TESSERA_SERVER_COORDINATOR_GRANT_H_

#include <cstdint>
#include <variant>

#include "common/plan/reduction_tree.h"
#include "tessera/v1/coordinator.pb.h"

namespace tessera {

struct TrainGrant {
  int64_t step = 0;
  MicrobatchRange range;
};

struct EvaluateGrant {
  int64_t version = 0;
  int chunk_begin = 0;
  int chunk_end = 0;
};

struct NoGrant {};  // Ask again later.

struct EndGrant {
  v1::EndReason reason = v1::END_REASON_UNSPECIFIED;
};

using Grant = std::variant<NoGrant, TrainGrant, EvaluateGrant, EndGrant>;

// See GetWorkRequest.
struct WorkReport {
  int64_t have_version = -1;
  double microbatch_seconds = 0;
  bool gives_up_last = false;
  uint64_t request_number = 0;
  int64_t generation = 0;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_COORDINATOR_GRANT_H_
