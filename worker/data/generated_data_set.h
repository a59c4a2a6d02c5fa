// Data for linear regression, drawn from a seed.

#ifndef TESSERA_WORKER_DATA_GENERATED_DATA_SET_H_
#define TESSERA_WORKER_DATA_GENERATED_DATA_SET_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "tessera/v1/job.pb.h"
#include "worker/data/dataset.h"

namespace tessera {

// y = W x + b + noise_stddev * e, with every element of W, b, x and e standard
// normal and a pure function of (seed, what it is, position). Codes:
// INVALID_ARGUMENT for sizes that FactsOfGeneratedData refuses;
// RESOURCE_EXHAUSTED above 8 GiB.
absl::StatusOr<std::unique_ptr<DataSet>> GenerateLinearDataSet(
    const v1::GeneratedLinear& linear, uint64_t seed);

}  // namespace tessera

#endif  // TESSERA_WORKER_DATA_GENERATED_DATA_SET_H_
