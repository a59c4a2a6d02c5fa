// One version of a whole shard: what a checkpoint is written from.

#ifndef TESSERA_SERVER_SHARD_SHARD_SNAPSHOT_H_
#define TESSERA_SERVER_SHARD_SHARD_SNAPSHOT_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/plan/shard_plan.h"

namespace tessera {

// Refers to the immutable buffers of the version, so it costs nothing to take;
// but as training goes on they are memory of their own, until they are let go.
// Reading and letting go is for one thread at a time, any; it must not outlive
// its store.
class ShardSnapshot {
 public:
  virtual ~ShardSnapshot() = default;

  virtual int64_t version() const = 0;
  virtual Interval elements() const = 0;

  // Copies a section (0 the parameters, 1 + i optimizer slot i) of `elements`,
  // within this shard's, to `out`, which has their size; from device memory,
  // where they lie there. Codes: as common/device/device.h.
  virtual absl::Status Read(int section, const Interval& elements,
                            absl::Span<float> out) = 0;

  // Lets go of blocks that end at or before `end`: they must not be read again.
  virtual void Release(int64_t end) = 0;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_SHARD_SNAPSHOT_H_
