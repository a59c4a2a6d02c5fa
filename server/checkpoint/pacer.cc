#include "server/checkpoint/pacer.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace tessera {

RatePacer::RatePacer(Options options) : options_(std::move(options)) {
  TESSERA_CHECK(options_.bytes_per_second > 0);
}

absl::Status RatePacer::Admit(int64_t bytes) {
  const absl::Time now = options_.now();
  if (now < next_) TESSERA_RETURN_IF_ERROR(options_.wait_until(next_));
  const double seconds = static_cast<double>(bytes) /
                         static_cast<double>(options_.bytes_per_second);
  next_ = std::max(next_, now) + absl::Seconds(seconds);
  return absl::OkStatus();
}

}  // namespace tessera
