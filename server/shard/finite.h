// Finds numbers that are none: the error path of sums that are not finite.

#ifndef TESSERA_SERVER_SHARD_FINITE_H_
#define TESSERA_SERVER_SHARD_FINITE_H_

#include <cstddef>
#include <optional>

#include "common/tensor/fragments.h"
#include "common/wire/encoding.h"

namespace tessera {

// A value of a payload that is NaN or infinite.
struct NonFinite {
  size_t index = 0;
  float value = 0;
};

// The first one, if any. Runs on the host, whatever the device. The payload
// must be a whole number of values.
std::optional<NonFinite> FindNonFinite(const FragmentedBytes& payload,
                                       v1::Encoding encoding);

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_FINITE_H_
