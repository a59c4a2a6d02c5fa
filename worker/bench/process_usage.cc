#include "worker/bench/process_usage.h"

#include <time.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace tessera::bench {

absl::StatusOr<double> CpuSeconds(pid_t pid) {
  clockid_t clock{};
  timespec used{};
  if (clock_getcpuclockid(pid, &clock) != 0 ||
      clock_gettime(clock, &used) != 0) {
    return absl::NotFoundError(absl::StrCat("process ", pid, " is gone"));
  }
  return static_cast<double>(used.tv_sec) +
         1e-9 * static_cast<double>(used.tv_nsec);
}

absl::StatusOr<int64_t> BytesIn(absl::string_view text,
                                absl::string_view name) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::ConsumePrefix(&line, name) || !absl::ConsumePrefix(&line, ":")) {
      continue;
    }
    line = absl::StripAsciiWhitespace(line);
    int64_t kilobytes = 0;
    if (absl::ConsumeSuffix(&line, " kB") &&
        absl::SimpleAtoi(line, &kilobytes)) {
      return kilobytes << 10;
    }
  }
  return absl::InternalError(absl::StrCat("no line \"", name, ": ... kB\""));
}

absl::StatusOr<ResidentBytes> ResidentOf(pid_t pid) {
  TESSERA_ASSIGN_OR_RETURN(const std::string text,
                           ReadFile(absl::StrCat("/proc/", pid, "/status")));
  ResidentBytes bytes;
  TESSERA_ASSIGN_OR_RETURN(bytes.now, BytesIn(text, "VmRSS"));
  TESSERA_ASSIGN_OR_RETURN(bytes.peak, BytesIn(text, "VmHWM"));
  return bytes;
}

absl::StatusOr<int64_t> AvailableBytes() {
  TESSERA_ASSIGN_OR_RETURN(const std::string text, ReadFile("/proc/meminfo"));
  return BytesIn(text, "MemAvailable");
}

}  // namespace tessera::bench
