// The learning rate at a step.

#ifndef TESSERA_SERVER_SHARD_LEARNING_RATE_H_
#define TESSERA_SERVER_SHARD_LEARNING_RATE_H_

#include <cstdint>

#include "tessera/v1/job.pb.h"

namespace tessera {

// The formulas of LearningRate in proto/tessera/v1/job.proto, in double
// precision, for a resolved job; `step` is at least 0. A pure function of its
// arguments, so that nothing has to be kept or restored. Who uses the rate in
// float32 rounds what it computes from it once.
double LearningRateAt(const v1::LearningRate& schedule, int64_t step);

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_LEARNING_RATE_H_
