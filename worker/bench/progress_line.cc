#include "worker/bench/progress_line.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"

namespace tessera::bench {
namespace {

constexpr int kCells = 30;
constexpr int kWidth = 79;
constexpr absl::Duration kInterval = absl::Milliseconds(100);

}  // namespace

std::string ProgressBar(double share, absl::Duration left,
                        absl::string_view what, int width) {
  share = std::clamp(share, 0.0, 1.0);
  const auto full = static_cast<size_t>(kCells * share);
  const int64_t seconds =
      absl::ToInt64Seconds(std::max(left, absl::ZeroDuration()));
  std::string line =
      absl::StrFormat("[%s%s] %2.0f%%  %d:%02d left  %s",
                      std::string(full, '#'), std::string(kCells - full, '.'),
                      share * 100, seconds / 60, seconds % 60, what);
  return line.substr(0, static_cast<size_t>(std::max(width, 0)));
}

ProgressLine::ProgressLine()
    : terminal_(isatty(STDERR_FILENO) == 1), begin_(absl::Now()) {}

ProgressLine::~ProgressLine() {
  if (terminal_) std::fputs("\r\033[K", stderr);
}

void ProgressLine::Show(double share, absl::string_view what) {
  const absl::Time now = absl::Now();
  const bool is_new = what != last_what_;
  if (!is_new && (!terminal_ || now < next_)) return;
  next_ = now + kInterval;
  last_what_ = std::string(what);
  const absl::Duration passed = now - begin_;
  const absl::Duration left =
      share > 0 ? passed * ((1 - share) / share) : absl::ZeroDuration();
  const std::string bar = ProgressBar(share, left, what, kWidth);
  if (terminal_) {
    std::fprintf(stderr, "\r\033[K%s", bar.c_str());
    std::fflush(stderr);
  } else {
    std::fprintf(stderr, "%3.0f%%  %s\n", share * 100, last_what_.c_str());
  }
}

}  // namespace tessera::bench
