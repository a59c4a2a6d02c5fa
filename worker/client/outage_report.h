// What to tell people of a server that is out of reach.

#ifndef TESSERA_WORKER_CLIENT_OUTAGE_REPORT_H_
#define TESSERA_WORKER_CLIENT_OUTAGE_REPORT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace tessera {

inline std::string OutageReport(absl::string_view server,
                                absl::Duration out_for,
                                absl::Duration unreachable_after,
                                const absl::Status& why) {
  return absl::StrCat(
      "waiting for ", server, ", out of reach for ",
      absl::FormatDuration(absl::Trunc(out_for, absl::Seconds(1))), " (until ",
      absl::FormatDuration(unreachable_after), "): ", why.message());
}

}  // namespace tessera

#endif  // TESSERA_WORKER_CLIENT_OUTAGE_REPORT_H_
