// tessera_launch's command line. For its main function.

#ifndef TESSERA_DEPLOY_LAUNCH_FLAGS_H_
#define TESSERA_DEPLOY_LAUNCH_FLAGS_H_

#include <string>

#include "absl/flags/declare.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/job/job.h"
#include "deploy/launch/run.h"

// The rest is in what the functions return.
ABSL_DECLARE_FLAG(int, servers);
ABSL_DECLARE_FLAG(bool, compare);
ABSL_DECLARE_FLAG(bool, resume);
ABSL_DECLARE_FLAG(std::string, resolve_only);
ABSL_DECLARE_FLAG(std::string, trace_out);

namespace tessera {

// The file that defines the flags, for ParseFlags.
extern const char kLaunchFlagsFile[];

// All below read the flags, after ParseFlags; one thread at a time.

// Whether each flag has a value that it can have, and those given go together.
// Codes: INVALID_ARGUMENT, naming the flags and what would be right.
absl::Status CheckLaunchFlags();

// The job of --job, with what flags override in it and all that its data set
// says filled in. Codes: those of LoadJobFile, ReadDataSetFacts, ResolveDataSet
// and Job::Create; INVALID_ARGUMENT without --job.
absl::StatusOr<Job> JobFromFlags();

// Makes the folder for the results of a run, or of a comparison's runs, and
// returns it. Codes: ALREADY_EXISTS where another run's are, unless the flags
// allow that; those of MakeDirectories.
absl::StatusOr<std::string> MakeRunDir(const Job& job);

// How to run a job, on that many servers, with its results in `run_dir`.
RunOptions OptionsFromFlags(const std::string& run_dir, int servers);

}  // namespace tessera

#endif  // TESSERA_DEPLOY_LAUNCH_FLAGS_H_
