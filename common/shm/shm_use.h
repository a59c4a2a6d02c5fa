// Whether memory is to be shared: what --shared_memory says.

#ifndef TESSERA_COMMON_SHM_SHM_USE_H_
#define TESSERA_COMMON_SHM_SHM_USE_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tessera {

enum class ShmUse {
  kAuto,  // Where it can be.
  kOn,    // It is an error where it cannot.
  kOff,
};

// "auto", "on" or "off". Code: INVALID_ARGUMENT, naming the flag.
absl::StatusOr<ShmUse> ParseShmUse(absl::string_view text);

}  // namespace tessera

#endif  // TESSERA_COMMON_SHM_SHM_USE_H_
