// What element_rule.h's rules are for a step of a job.

#ifndef TESSERA_SERVER_SHARD_UPDATE_RULE_H_
#define TESSERA_SERVER_SHARD_UPDATE_RULE_H_

#include <cstdint>

#include "common/job/job.h"
#include "server/shard/element_rule.h"

namespace tessera {

// `is_decoupled`: weight decay goes past the gradient.
StepRule MakeStepRule(const Job& job, int64_t step, bool is_decoupled);

// For a job whose optimizer is of that kind.
SgdRule MakeSgdRule(const Job& job, int64_t step);
MomentumRule MakeMomentumRule(const Job& job, int64_t step);
AdamWRule MakeAdamWRule(const Job& job, int64_t step);

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_UPDATE_RULE_H_
