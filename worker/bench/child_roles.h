// What this program is when the benchmark has started it again.

#ifndef TESSERA_WORKER_BENCH_CHILD_ROLES_H_
#define TESSERA_WORKER_BENCH_CHILD_ROLES_H_

#include <string>

#include "absl/status/status.h"
#include "worker/bench/point.h"

namespace tessera::bench {

// Hears from the parent, over an inherited descriptor that becomes its own,
// what it is (ChildSetup), and serves until the parent is gone. Codes: what
// failed; the parent has been told.
absl::Status RunChild(const std::string& role, int control_fd);

// Whether such a process is tuned as Tessera's programs are (KeepFreedMemory);
// the baseline's are not.
bool KeepsFreedMemory(const std::string& role);

// Serves raw TCP on this address, for one benchmark after the other. Codes:
// those of Listen and ServeRawTcp.
absl::Status ServeRawAt(const std::string& address, int shard,
                        const Setting& setting);

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_CHILD_ROLES_H_
