// What this program is when the benchmark has started it again.

#ifndef TESSERA_WORKER_BENCH_CHILD_ROLES_H_
#define TESSERA_WORKER_BENCH_CHILD_ROLES_H_

#include <string>

#include "absl/status/status.h"

namespace tessera::bench {

// Reports to the parent at `control_path`, hears what it is (ChildSetup) and
// serves until the parent is gone. Codes: what failed; the parent has been
// told.
absl::Status RunChild(const std::string& role, const std::string& control_path);

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_CHILD_ROLES_H_
