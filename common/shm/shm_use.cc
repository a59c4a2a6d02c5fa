#include "common/shm/shm_use.h"

#include "absl/strings/str_cat.h"

namespace tessera {

absl::StatusOr<ShmUse> ParseShmUse(absl::string_view text) {
  if (text == "auto") return ShmUse::kAuto;
  if (text == "on") return ShmUse::kOn;
  if (text == "off") return ShmUse::kOff;
  return absl::InvalidArgumentError(absl::StrCat(
      "--shared_memory=", text, ": must be auto, on or off; see --help"));
}

}  // namespace tessera
