// A whole job under faults, in virtual time: a pure function of its seed.

#ifndef TESSERA_TESTS_SIMULATION_SIMULATION_H_
#define TESSERA_TESTS_SIMULATION_SIMULATION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/job/job.h"
#include "tessera/v1/coordinator.pb.h"
#include "tests/simulation/random.h"
#include "tests/simulation/worker_model.h"
#include "tests/simulation/world.h"

namespace tessera {

struct SimulationResult {
  // What went wrong, or empty.
  std::string complaint;
  // Lines of what happened, if asked for.
  std::string trace;
  uint64_t trace_hash = 0;
  v1::GetStatusResponse status;  // At the end.
  // How much the run was worth.
  int64_t events = 0;
  int faults = 0;
};

struct SimulationOptions {
  uint64_t seed = 0;
  bool keep_trace = false;
};

// A job whose shape is drawn from the seed.
Job DrawJob(uint64_t seed);

// Runs `job` on workers, network and faults drawn from the seed, until all
// workers know of its end. Faults cease after a while. Checked on the way:
//   every microbatch of every step counts exactly once on every block;
//   a push or a pull never names a version that cannot be;
//   nothing is granted beyond an evaluation that is not finished, nor more than
//   one phase ahead;
// and at the end:
//   the job has ended and every worker has learned of it;
//   evaluations, last version and end are what the job alone makes them, to the
//   last bit, and step records are complete;
//   no step was begun that is no part of the job.
SimulationResult Simulate(const Job& job, const SimulationOptions& options);

}  // namespace tessera

#endif  // TESSERA_TESTS_SIMULATION_SIMULATION_H_
