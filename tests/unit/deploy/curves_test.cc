#include "deploy/report/curves.h"

#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "tests/support/status.h"

namespace tessera {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

// How often each element occurs in a well-formed document of the plain kind:
// elements, quoted attributes, text with the five named entities.
class XmlElements {
 public:
  explicit XmlElements(absl::string_view text) : rest_(text) {
    while (!rest_.empty()) {
      rest_[0] == '<' ? TakeTag() : TakeText();
    }
    REQUIRE(open_.empty());
    REQUIRE(roots_ == 1);
  }

  int count(const std::string& name) const {
    const auto found = counts_.find(name);
    return found == counts_.end() ? 0 : found->second;
  }
  const std::vector<std::map<std::string, std::string>>& attributes() const {
    return attributes_;
  }

 private:
  static bool IsName(char c) { return std::isalnum(c) != 0 || c == '-'; }

  std::string TakeName() {
    size_t size = 0;
    while (size < rest_.size() && IsName(rest_[size])) ++size;
    const std::string name(rest_.substr(0, size));
    REQUIRE_FALSE(name.empty());
    rest_.remove_prefix(size);
    return name;
  }

  void Take(absl::string_view expected) {
    INFO(rest_.substr(0, 80));
    REQUIRE(absl::StartsWith(rest_, expected));
    rest_.remove_prefix(expected.size());
  }

  // Up to, not including, `end`: checked for what may not stand there.
  std::string TakeUntil(char end) {
    const size_t size = std::min(rest_.find(end), rest_.size());
    const std::string text(rest_.substr(0, size));
    rest_.remove_prefix(size);
    for (size_t i = 0; i < text.size(); ++i) {
      CAPTURE(text);
      REQUIRE((static_cast<unsigned char>(text[i]) >= 0x20 || text[i] == '\n'));
      REQUIRE(text[i] != '<');
      if (text[i] != '&') continue;
      const std::string entity = text.substr(i, text.find(';', i) - i + 1);
      REQUIRE((entity == "&amp;" || entity == "&lt;" || entity == "&gt;" ||
               entity == "&quot;" || entity == "&apos;"));
    }
    return text;
  }

  void TakeText() {
    const std::string text = TakeUntil('<');
    // Outside the root there is white space only.
    if (open_.empty()) {
      REQUIRE(text.find_first_not_of(" \n") == std::string::npos);
    }
  }

  void TakeTag() {
    Take("<");
    if (absl::StartsWith(rest_, "/")) {
      Take("/");
      REQUIRE_FALSE(open_.empty());
      REQUIRE(TakeName() == open_.back());
      Take(">");
      open_.pop_back();
      return;
    }
    const std::string name = TakeName();
    ++counts_[name];
    if (open_.empty()) ++roots_;
    std::map<std::string, std::string> attributes = {{"element", name}};
    while (absl::StartsWith(rest_, " ")) {
      Take(" ");
      const std::string key = TakeName();
      Take("=\"");
      REQUIRE(attributes.emplace(key, TakeUntil('"')).second);
      Take("\"");
    }
    attributes_.push_back(attributes);
    if (absl::StartsWith(rest_, "/")) {
      Take("/>");
      return;
    }
    Take(">");
    open_.push_back(name);
  }

  absl::string_view rest_;
  std::vector<std::string> open_;
  std::map<std::string, int> counts_;
  std::vector<std::map<std::string, std::string>> attributes_;
  int roots_ = 0;
};

// Checks that the document is well-formed and that every number in it is a
// number within the page.
XmlElements Check(const std::string& svg) {
  INFO(svg);
  XmlElements elements(svg);
  double width = 0;
  double height = 0;
  for (const auto& attributes : elements.attributes()) {
    if (attributes.at("element") != "svg") continue;
    REQUIRE(absl::SimpleAtod(attributes.at("width"), &width));
    REQUIRE(absl::SimpleAtod(attributes.at("height"), &height));
  }
  const auto require_inside = [](const std::string& text, double limit) {
    double value = kNan;
    CAPTURE(text);
    REQUIRE(absl::SimpleAtod(text, &value));
    REQUIRE(value >= 0);
    REQUIRE(value <= limit);
  };
  for (const auto& attributes : elements.attributes()) {
    for (const auto& [name, value] : attributes) {
      if (name == "x" || name == "cx" || name == "x1" || name == "x2") {
        require_inside(value, width);
      }
      if (name == "y" || name == "cy" || name == "y1" || name == "y2") {
        require_inside(value, height);
      }
      if (name != "points") continue;
      for (const auto point : absl::StrSplit(value, ' ', absl::SkipEmpty())) {
        const std::vector<std::string> xy = absl::StrSplit(point, ',');
        REQUIRE(xy.size() == 2);
        require_inside(xy[0], width);
        require_inside(xy[1], height);
      }
    }
  }
  return elements;
}

Curves Typical(int steps) {
  Curves curves{.title = "a job"};
  for (int i = 0; i < steps; ++i) {
    curves.train_loss.push_back({1.0 * i, 2.0 / (1 + i)});
  }
  curves.test_loss = {{steps / 2.0, 0.5}, {1.0 * steps, 0.4}};
  curves.test_accuracy = {{steps / 2.0, 0.7}, {1.0 * steps, 0.8}};
  return curves;
}

TEST_CASE("a run's picture is well-formed, with all curves and a legend") {
  const std::string svg = DrawCurves(Typical(100));
  const XmlElements elements = Check(svg);
  REQUIRE(elements.count("svg") == 1);
  REQUIRE(elements.count("polyline") == 3);
  REQUIRE(elements.count("circle") == 4);
  for (const char* word : {">loss<", ">accuracy<", ">step<", ">training<",
                           ">test<", ">a job<", "80%"}) {
    CAPTURE(word);
    REQUIRE(absl::StrContains(svg, word));
  }
  // Readable on dark pages too.
  REQUIRE(absl::StrContains(svg, "prefers-color-scheme: dark"));
}

TEST_CASE("regression has no accuracy to show") {
  Curves curves = Typical(100);
  curves.test_accuracy.clear();
  const std::string svg = DrawCurves(curves);
  REQUIRE(Check(svg).count("polyline") == 2);
  REQUIRE_FALSE(absl::StrContains(svg, "accuracy<"));
}

TEST_CASE("runs of any size make a picture") {
  Check(DrawCurves({}));
  Check(DrawCurves({.title = "one", .train_loss = {{0, 1}}}));
  for (int steps : {1, 2, 3, 400, 401, 100000}) {
    CAPTURE(steps);
    Check(DrawCurves(Typical(steps)));
  }
}

TEST_CASE("the picture does not grow with the run") {
  REQUIRE(DrawCurves(Typical(1000000)).size() < 60000);
}

TEST_CASE("values that are not finite, huge, tiny or flat break nothing") {
  const double value =
      GENERATE(kNan, kInf, -kInf, 0.0, -0.0, 1e300, -1e300, 1e-300, 0.25);
  const double other =
      GENERATE(0.0, 0.25, std::nextafter(0.25, 1), 1e300, kNan);
  CAPTURE(value, other);
  const std::vector<CurvePoint> points = {
      {0, value}, {1, other}, {2, value}, {3, value}};
  Check(DrawCurves({.title = "t", .train_loss = points, .test_loss = points}));
}

TEST_CASE("accuracy keeps to 0 to 100%") {
  const double accuracy = GENERATE(0.0, 1.0);
  const std::string svg = DrawCurves(
      {.title = "t", .test_accuracy = {{0, accuracy}, {1, accuracy}}});
  Check(svg);
  REQUIRE_FALSE(absl::StrContains(svg, "150%"));
  REQUIRE_FALSE(absl::StrContains(svg, "-50%"));
}

TEST_CASE("a title is text, whatever it holds") {
  const std::string svg =
      DrawCurves({.title = "<script> & \"x\" 'y' ]]> \x01\x1b[0m\x7f"});
  Check(svg);
  REQUIRE(absl::StrContains(svg, "&lt;script&gt; &amp; &quot;x&quot;"));
  REQUIRE(absl::StrContains(DrawCurves({.title = "\xc3\xa9"}), "\xc3\xa9"));
}

TEST_CASE("ticks are round numbers inside the range") {
  REQUIRE(NiceTicks(0, 10, 5) == std::vector<double>{0, 2, 4, 6, 8, 10});
  REQUIRE(NiceTicks(0, 1000, 8).size() == 6);  // Every 200.
  REQUIRE(NiceTicks(-1, 1, 4) == std::vector<double>{-1, -0.5, 0, 0.5, 1});
  REQUIRE(NiceTicks(0.3, 0.35, 6).front() == Approx(0.3));
  // Zero has no sign.
  REQUIRE_FALSE(std::signbit(NiceTicks(-1, 1, 4)[2]));
}

TEST_CASE("there are about as many ticks as asked for") {
  const double low = GENERATE(-7.3, 0.0, 0.1234, 1e6);
  const double span = GENERATE(1e-6, 0.037, 1.0, 99.0, 1e9);
  const int count = GENERATE(4, 6, 8);
  CAPTURE(low, span, count);
  const std::vector<double> ticks = NiceTicks(low, low + span, count);
  REQUIRE(ticks.size() >= static_cast<size_t>(count) / 3);
  REQUIRE(ticks.size() <= static_cast<size_t>(count) + 1);
  for (double tick : ticks) {
    REQUIRE(tick >= low - span * 1e-6);
    REQUIRE(tick <= low + span * (1 + 1e-6));
  }
}

}  // namespace
}  // namespace tessera
