// How much work a worker is handed at a time, and which.

#ifndef TESSERA_SERVER_COORDINATOR_WORK_SIZE_H_
#define TESSERA_SERVER_COORDINATOR_WORK_SIZE_H_

#include "common/base/strong_id.h"
#include "common/plan/reduction_tree.h"
#include "server/coordinator/unit_ledger.h"

namespace tessera {

// Units that `worker` may be handed now, at least 1, as a real number: the
// larger of
//    share * size - what it has taken already,   its part of the phase, and
//    share * what is free,                       when others have not come.
// `share` is its part of all workers' speed, in (0, 1].
double Allowance(const UnitLedger& ledger, WorkerId worker, double share);

// The largest free tree node of at most `allowance` microbatches; among equals
// the one that leaves the fewest crumbs, then the first. Measured speeds are
// never quite equal, and two nodes cost twice the traffic of one: a node may
// exceed the allowance by an eighth, but not so as to leave nothing for others.
// Something must be free.
UnitRange PickTrainUnit(const ReductionTree& tree, const UnitLedger& ledger,
                        double allowance);

// The first free run, cut to at most `allowance` chunks. Something must be
// free.
UnitRange PickEvaluationUnit(const UnitLedger& ledger, double allowance);

}  // namespace tessera

#endif  // TESSERA_SERVER_COORDINATOR_WORK_SIZE_H_
