// Reads what a server says of its shared memory.

#include <string>

#include "absl/strings/string_view.h"
#include "common/base/check.h"
#include "common/shm/shm_offer.h"
#include "tests/fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto offer = tessera::ParseShmOffer(text);
  if (offer.ok()) {
    TESSERA_CHECK(tessera::ToString(*offer) == text);
  } else {
    TESSERA_CHECK(absl::IsInvalidArgument(offer.status()));
    // Of a text, which may hold a secret, the message tells the length alone.
    TESSERA_CHECK(offer.status() ==
                  tessera::ParseShmOffer(std::string(size, 'x')).status());
  }
  return 0;
}
