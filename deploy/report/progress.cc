#include "deploy/report/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"

namespace tessera {
namespace {

constexpr int kMinBarWidth = 6;
constexpr int kBarFrame = 3;  // "[", "] ".
constexpr int kMaxBarWidth = 30;
constexpr absl::Duration kLineInterval = absl::Seconds(10);

// A worker's label comes from the network: it must not steer the terminal.
std::string Printable(std::string text) {
  for (char& c : text) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) c = '?';
  }
  return text;
}

// "epoch 1.50/10 step 702/4,680", with these words for epoch and these gaps.
std::string Position(const Progress& p, absl::string_view epoch,
                     absl::string_view gap) {
  const auto per_epoch = static_cast<double>(p.steps_per_epoch);
  return absl::StrFormat("%s %.2f/%.4g%sstep %s/%s", epoch,
                         static_cast<double>(p.steps_done) / per_epoch,
                         static_cast<double>(p.steps_total) / per_epoch, gap,
                         WithCommas(p.steps_done), WithCommas(p.steps_total));
}

std::string Figures(const Progress& p) {
  std::string text = Position(p, "epoch", "  ");
  if (p.loss) absl::StrAppendFormat(&text, "  loss %.4f", *p.loss);
  if (p.accuracy) {
    absl::StrAppendFormat(&text, "  accuracy %.2f%%", *p.accuracy * 100);
  }
  if (p.evaluating) {
    absl::StrAppend(&text, "  evaluating");
  } else {
    absl::StrAppendFormat(
        &text, "  %s samples/s  %.1f MB/s pushed",
        WithCommas(static_cast<int64_t>(p.samples_per_second)),
        p.pushed_megabytes_per_second);
  }
  if (p.time_left) {
    absl::StrAppend(&text, "  ", FormatTime(*p.time_left), " left");
  }
  if (!p.waiting.empty()) absl::StrAppend(&text, "  waiting: ", p.waiting);
  return Printable(std::move(text));
}

// The same for 80 columns. While the job waits, for whom is what matters.
std::string ShortFigures(const Progress& p) {
  std::string text = Position(p, "ep", " ");
  if (!p.waiting.empty()) {
    absl::StrAppend(&text, " waiting: ", p.waiting);
    return Printable(std::move(text));
  }
  if (p.loss) absl::StrAppendFormat(&text, " loss %.3f", *p.loss);
  if (p.accuracy) {
    absl::StrAppendFormat(&text, " acc %.1f%%", *p.accuracy * 100);
  }
  if (p.evaluating) {
    absl::StrAppend(&text, " evaluating");
  } else {
    absl::StrAppendFormat(
        &text, " %s/s %.1fMB/s",
        WithCommas(static_cast<int64_t>(p.samples_per_second)),
        p.pushed_megabytes_per_second);
  }
  if (p.time_left) absl::StrAppend(&text, " ", FormatTime(*p.time_left));
  return text;
}

int TerminalWidth() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
    return 80;
  }
  return size.ws_col;
}

}  // namespace

std::string FormatTime(absl::Duration duration) {
  const int64_t seconds =
      absl::ToInt64Seconds(std::max(duration, absl::ZeroDuration()));
  if (seconds < 3600) {
    return absl::StrFormat("%d:%02d", seconds / 60, seconds % 60);
  }
  return absl::StrFormat("%d:%02d:%02d", seconds / 3600, seconds / 60 % 60,
                         seconds % 60);
}

std::string WithCommas(int64_t number) {
  std::string digits = absl::StrCat(number);
  const int first = number < 0 ? 1 : 0;
  for (int at = static_cast<int>(digits.size()) - 3; at > first; at -= 3) {
    digits.insert(static_cast<size_t>(at), 1, ',');
  }
  return digits;
}

std::string ProgressBar(const Progress& progress, int width) {
  std::string figures = Figures(progress);
  int room = width - static_cast<int>(figures.size()) - kBarFrame;
  if (room < kMinBarWidth) {
    figures = ShortFigures(progress);
    room = width - static_cast<int>(figures.size()) - kBarFrame;
  }
  // A line that wraps could not be drawn over.
  if (room < kMinBarWidth) {
    return figures.substr(0, static_cast<size_t>(std::max(width, 0)));
  }
  const int cells = std::min(room, kMaxBarWidth);
  const double share = static_cast<double>(progress.steps_done) /
                       static_cast<double>(progress.steps_total);
  const int full = std::clamp(static_cast<int>(cells * share), 0, cells);
  return absl::StrCat("[", std::string(static_cast<size_t>(full), '#'),
                      std::string(static_cast<size_t>(cells - full), '.'), "] ",
                      figures);
}

std::string ProgressLine(const Progress& progress) { return Figures(progress); }

ProgressDisplay::ProgressDisplay() : terminal_(isatty(STDERR_FILENO) == 1) {}

void ProgressDisplay::Show(const Progress& progress) {
  if (terminal_) {
    // The last column stays free: some terminals wrap after it.
    std::fprintf(stderr, "\r\033[K%s",
                 ProgressBar(progress, TerminalWidth() - 1).c_str());
    std::fflush(stderr);
    bar_shown_ = true;
    return;
  }
  if (absl::Now() < next_line_) return;
  next_line_ = absl::Now() + kLineInterval;
  std::fprintf(stderr, "%s\n", ProgressLine(progress).c_str());
}

void ProgressDisplay::Print(const std::string& line) {
  if (bar_shown_) std::fputs("\r\033[K", stderr);
  bar_shown_ = false;
  std::fprintf(stderr, "%s\n", line.c_str());
}

void ProgressDisplay::Finish() {
  if (bar_shown_) std::fputs("\n", stderr);
  bar_shown_ = false;
}

}  // namespace tessera
