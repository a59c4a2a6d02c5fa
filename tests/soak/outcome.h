// What must hold of a run at its end, whatever was done to it.

#ifndef TESSERA_TESTS_SOAK_OUTCOME_H_
#define TESSERA_TESTS_SOAK_OUTCOME_H_

#include <string>

#include "tests/soak/soak_run.h"

namespace tessera {

// Runs the job undisturbed, without checkpoints; returns its summary.
nlohmann::json RunUndisturbed(const std::string& job_file);

// Requires that the launcher ends with success and these parameters, that no
// process is left over, that all checkpoints are sound, and that the newest
// holds just the parameters that the run has written.
void RequireSameEnd(SoakRun& run, const std::string& expected_sha256);

}  // namespace tessera

#endif  // TESSERA_TESTS_SOAK_OUTCOME_H_
