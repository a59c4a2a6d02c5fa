#include "deploy/report/progress.h"

#include <string>

#include "absl/strings/match.h"
#include "tests/support/status.h"

namespace tessera {
namespace {

Progress Middle() {
  return {.steps_done = 1170,
          .steps_total = 2340,
          .steps_per_epoch = 468,
          .loss = 0.43219,
          .accuracy = 0.8765,
          .samples_per_second = 12345.6,
          .pushed_megabytes_per_second = 78.91,
          .time_left = absl::Seconds(83)};
}

TEST_CASE("a line has every figure") {
  REQUIRE(ProgressLine(Middle()) ==
          "epoch 2.50/5  step 1,170/2,340  loss 0.4322  accuracy 87.65%  "
          "12,345 samples/s  78.9 MB/s pushed  1:23 left");
}

TEST_CASE("what is not known yet is left out") {
  const std::string line = ProgressLine({.steps_total = 10});
  REQUIRE(line == "epoch 0.00/10  step 0/10  0 samples/s  0.0 MB/s pushed");
}

TEST_CASE("while evaluating there is no speed to show") {
  Progress progress = Middle();
  progress.evaluating = true;
  const std::string line = ProgressLine(progress);
  REQUIRE(absl::StrContains(line, "evaluating"));
  REQUIRE_FALSE(absl::StrContains(line, "samples/s"));
}

TEST_CASE("whom the job waits for is named") {
  Progress progress = Middle();
  progress.waiting = "step 3 [0, 4) for worker-1, 12 s";
  REQUIRE(absl::StrContains(ProgressLine(progress),
                            "waiting: step 3 [0, 4) for worker-1, 12 s"));
}

TEST_CASE("a label cannot steer the terminal") {
  Progress progress = Middle();
  progress.waiting = "\x1b[2J\r\n\x07";
  for (const std::string& text :
       {ProgressLine(progress), ProgressBar(progress, 500)}) {
    for (char c : text) REQUIRE(static_cast<unsigned char>(c) >= 0x20);
  }
}

TEST_CASE("the bar is as full as the job is done") {
  const std::string half = ProgressBar(Middle(), 200);
  REQUIRE(absl::StartsWith(
      half, "[" + std::string(15, '#') + std::string(15, '.') + "] epoch"));
  Progress progress = Middle();
  progress.steps_done = 0;
  REQUIRE(absl::StartsWith(ProgressBar(progress, 200),
                           "[" + std::string(30, '.') + "] "));
  progress.steps_done = progress.steps_total;
  REQUIRE(absl::StartsWith(ProgressBar(progress, 200),
                           "[" + std::string(30, '#') + "] "));
}

TEST_CASE("a bar never wraps, and uses shorter words before it gives way") {
  const std::string line = ProgressLine(Middle());
  const std::string brief =
      "ep 2.50/5 step 1,170/2,340 loss 0.432 acc 87.6% 12,345/s 78.9MB/s 1:23";
  for (int width = 0; width < 250; ++width) {
    CAPTURE(width);
    const auto columns = static_cast<size_t>(width);
    const std::string bar = ProgressBar(Middle(), width);
    REQUIRE(bar.size() <= columns);
    if (columns < brief.size() + 9) {
      REQUIRE(bar == brief.substr(0, columns));
    } else {
      REQUIRE(bar[0] == '[');
      const bool wide = columns >= line.size() + 9;
      REQUIRE(absl::EndsWith(bar, "] " + (wide ? line : brief)));
    }
  }
}

TEST_CASE("a usual terminal shows a bar and every figure") {
  const std::string bar = ProgressBar(Middle(), 79);
  REQUIRE(absl::StartsWith(bar, "[###...] ep"));
  REQUIRE(absl::EndsWith(bar, " 1:23"));
}

TEST_CASE("where there is little room, whom the job waits for comes first") {
  Progress progress = Middle();
  progress.waiting = "step 3 [0, 4) for worker-1, 12 s";
  REQUIRE(absl::StrContains(ProgressBar(progress, 79),
                            "waiting: step 3 [0, 4) for worker-1, 12 s"));
}

TEST_CASE("times are minutes and seconds, then hours") {
  REQUIRE(FormatTime(absl::ZeroDuration()) == "0:00");
  REQUIRE(FormatTime(absl::Seconds(-5)) == "0:00");
  REQUIRE(FormatTime(absl::Milliseconds(59999)) == "0:59");
  REQUIRE(FormatTime(absl::Seconds(60)) == "1:00");
  REQUIRE(FormatTime(absl::Seconds(3599)) == "59:59");
  REQUIRE(FormatTime(absl::Seconds(3600)) == "1:00:00");
  REQUIRE(FormatTime(absl::Hours(123) + absl::Seconds(62)) == "123:01:02");
}

TEST_CASE("thousands are set apart") {
  REQUIRE(WithCommas(0) == "0");
  REQUIRE(WithCommas(999) == "999");
  REQUIRE(WithCommas(1000) == "1,000");
  REQUIRE(WithCommas(1234567) == "1,234,567");
  REQUIRE(WithCommas(-999) == "-999");
  REQUIRE(WithCommas(-1000) == "-1,000");
}

}  // namespace
}  // namespace tessera
