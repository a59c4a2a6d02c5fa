// Keeps numbers that are none out of the sums.

#ifndef TESSERA_SERVER_SHARD_FINITE_H_
#define TESSERA_SERVER_SHARD_FINITE_H_

#include <cstddef>
#include <optional>

#include "common/tensor/fragments.h"

namespace tessera {

// The number of the first float32 value that is NaN or infinite. Runs on the
// host, whatever the device: a payload that fails must leave no trace anywhere.
std::optional<size_t> FindNonFinite(const FragmentedBytes& payload);

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_FINITE_H_
