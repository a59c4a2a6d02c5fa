// How fast one core of this machine copies and adds.

#ifndef TESSERA_WORKER_BENCH_MEMORY_CEILINGS_H_
#define TESSERA_WORKER_BENCH_MEMORY_CEILINGS_H_

#include "worker/bench/result.h"

namespace tessera::bench {

// Takes about a second.
MemoryCeilings MeasureMemory();

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_MEMORY_CEILINGS_H_
