// What is said of a seed that failed.

#ifndef TESSERA_TESTS_SIMULATION_REPLAY_H_
#define TESSERA_TESTS_SIMULATION_REPLAY_H_

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace tessera {

// The complaint, how to run `target` with that seed again, and the trace's end:
// what led to the failure.
inline std::string DescribeFailure(uint64_t seed, absl::string_view complaint,
                                   absl::string_view target,
                                   absl::string_view trace) {
  constexpr size_t kMaxBytes = 16'000;
  if (trace.size() > kMaxBytes) trace.remove_prefix(trace.size() - kMaxBytes);
  return absl::StrCat("seed ", seed, ": ", complaint,
                      "\nto replay it:\n"
                      "  bazel test --test_env=TESSERA_SEED=",
                      seed, " --test_output=all ", target, "\nthe trace ends\n",
                      trace);
}

}  // namespace tessera

#endif  // TESSERA_TESTS_SIMULATION_REPLAY_H_
