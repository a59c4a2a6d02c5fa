#include "worker/bench/calibration.h"

#include <algorithm>
#include <cmath>

#include "common/base/status_macros.h"

namespace tessera::bench {
namespace {

// A run that lasts at least so long, against what is wanted, tells the speed.
constexpr double kLongEnough = 0.3;
constexpr int kRunsMax = 6;
constexpr double kGrowthMax = 64;

}  // namespace

int64_t StepsFor(int64_t steps, double seconds, double wanted_seconds) {
  const double growth = wanted_seconds / std::max(seconds, 1e-9);
  return std::max<int64_t>(1, std::llround(static_cast<double>(steps) *
                                           std::min(growth, kGrowthMax)));
}

absl::StatusOr<int64_t> Calibrate(double wanted_seconds, Fabric& fabric,
                                  RunRequest& request) {
  int64_t values_checked = 0;
  for (int i = 0; i < kRunsMax; ++i) {
    TESSERA_ASSIGN_OR_RETURN(const FabricRun run, fabric.Run(request));
    values_checked += run.values_checked;
    request.steps = StepsFor(request.steps, run.seconds, wanted_seconds);
    if (run.seconds >= kLongEnough * wanted_seconds) break;
  }
  return values_checked;
}

}  // namespace tessera::bench
