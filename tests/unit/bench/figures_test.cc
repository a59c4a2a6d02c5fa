// From measurements to what people and programs read.

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "worker/bench/chart.h"
#include "worker/bench/json_report.h"
#include "worker/bench/scaling.h"
#include "worker/bench/statistics.h"
#include "worker/bench/table.h"

namespace tessera::bench {
namespace {

TEST_CASE("medians of odd and even numbers of values") {
  REQUIRE(Summarize({3}).median == 3);
  REQUIRE(Summarize({9, 1, 5}).median == 5);
  REQUIRE(Summarize({4, 1, 3, 2}).median == 2.5);
  const Summary summary = Summarize({9, 1, 5});
  REQUIRE(summary.min == 1);
  REQUIRE(summary.max == 9);
}

TEST_CASE("percentiles are values that occurred, by nearest rank") {
  std::vector<double> values;
  for (int i = 100; i > 0; --i) values.push_back(i);
  REQUIRE(Percentile(values, 50) == 50);
  REQUIRE(Percentile(values, 99) == 99);
  REQUIRE(Percentile(values, 29) == 29);
  REQUIRE(Percentile(values, 100) == 100);
  REQUIRE(Percentile(values, 0.1) == 1);
  REQUIRE(Percentile({7}, 50) == 7);
  REQUIRE(Percentile({1, 2}, 50) == 1);
  REQUIRE(Percentile({1, 2}, 99) == 2);
}

TEST_CASE("shares pair the measurements of one repetition") {
  // Half as fast each time, although the machine was not as fast each time.
  REQUIRE(MedianRatio({1, 2, 4}, {2, 4, 8}) == 0.5);
  // The ratio of the medians would be 1.
  REQUIRE(MedianRatio({1, 2, 3}, {3, 2, 2}) == 1);
  REQUIRE(MedianRatio({1, 2, 6}, {2, 8, 2}) == 0.5);
}

TEST_CASE("figures have the three digits that matter") {
  REQUIRE(Figure(6.808) == "6.81");
  REQUIRE(Figure(0.16449) == "0.164");
  REQUIRE(Figure(33.24) == "33.2");
  REQUIRE(Figure(1234.5) == "1234");
  REQUIRE(Figure(0.00071234) == "0.000712");
  REQUIRE(Figure(0) == "0");
}

TEST_CASE("columns are aligned, words to the left and figures to the right") {
  REQUIRE(
      AlignColumns({{"what", "GB/s"}, {"a longer one", "1"}, {}, {"b", "22"}},
                   {true, false}) ==
      "what          GB/s\n"
      "a longer one     1\n"
      "\n"
      "b               22\n");
}

SeriesResult Line(int64_t bytes, Operation operation, Path path, double gb) {
  SeriesResult line{.setting = {.message_bytes = bytes, .blocks = 16},
                    .series = {operation, path},
                    .in_flight = 8};
  line.throughput = Throughput{.gb_per_second = {gb, gb / 2, gb * 2},
                               .share_of_raw = gb / 8,
                               .cpu_seconds_per_gb = {0.25, 0.2, 0.3},
                               .repetitions = {gb / 2, gb, gb * 2}};
  line.latency = Latency{.p50_us = 76, .p99_us = 210, .samples = 1000};
  return line;
}

BenchResult TwoSizes() {
  BenchResult result;
  for (int64_t bytes : {4096, 1 << 20}) {
    result.series.push_back(
        Line(bytes, Operation::kPushPull, Path::kRawTcp, 8));
    result.series.push_back(Line(bytes, Operation::kPushPull, Path::kTcp, 4));
  }
  // Latency alone.
  SeriesResult apart =
      Line(1 << 20, Operation::kPushThenPull, Path::kRawTcp, 1);
  apart.throughput.reset();
  result.series.push_back(apart);
  result.left_out = {"64 MiB 2x2 float32: needs <too> much & more"};
  result.values_checked = 12345;
  return result;
}

TEST_CASE(
    "the table has a line for each series, a header, and what is left out") {
  const std::string text = FormatResult(TwoSizes());
  INFO(text);
  for (const char* part :
       {"size", "operation", "GB/s", "of raw", "p50 us", "p99 us", "CPU s/GB",
        "4 KiB  push-pull   tcp", "0.50", "12345", "left out: 64 MiB 2x2",
        "acc += x"}) {
    CAPTURE(part);
    REQUIRE(text.find(part) != std::string::npos);
  }
  // All lines of the first table end at the same column.
  const size_t header_end = text.find('\n');
  const size_t line_end = text.find('\n', header_end + 1);
  REQUIRE(line_end - header_end - 1 == header_end);
}

TEST_CASE("the JSON says the same as the table") {
  const nlohmann::json json = ToJson(TwoSizes());
  REQUIRE(json["series"].size() == 5);
  const nlohmann::json& line = json["series"][1];
  REQUIRE(line["message_bytes"] == 4096);
  REQUIRE(line["operation"] == "push-pull");
  REQUIRE(line["transport"] == "tcp");
  REQUIRE(line["gb_per_second"]["median"] == 4);
  REQUIRE(line["gb_per_second"]["min"] == 2);
  REQUIRE(line["repetitions_gb_per_second"].size() == 3);
  REQUIRE(line["share_of_raw_tcp"] == 0.5);
  REQUIRE(line["p99_us"] == 210);
  REQUIRE(line["cpu_seconds_per_gb"]["median"] == 0.25);
  const nlohmann::json& apart = json["series"][4];
  REQUIRE(apart["operation"] == "push, pull");
  REQUIRE_FALSE(apart.contains("gb_per_second"));
  REQUIRE(json["values_checked"] == 12345);
  REQUIRE(json["left_out"].size() == 1);
}

TEST_CASE("the chart has a line for each transport and every size") {
  const std::string svg = DrawChart(TwoSizes());
  for (const char* part :
       {"<svg", "</svg>", "4 KiB", "1 MiB", "ceiling: raw TCP", "Tessera, TCP",
        "push-pull, 1 worker x 1 server", "class=\"line raw\"",
        "class=\"line tcp\""}) {
    CAPTURE(part);
    REQUIRE(svg.find(part) != std::string::npos);
  }
  REQUIRE(svg.find("nan") == std::string::npos);
  REQUIRE(svg.find("inf") == std::string::npos);
}

TEST_CASE("a chart of one size, or of nothing, is still a picture") {
  BenchResult one;
  one.series.push_back(Line(4096, Operation::kPush, Path::kTcp, 3));
  for (const BenchResult& result : {one, BenchResult()}) {
    const std::string svg = DrawChart(result);
    REQUIRE(svg.find("</svg>") != std::string::npos);
    REQUIRE(svg.find("nan") == std::string::npos);
  }
}

ScalingResult::Line ServerWith(int64_t older_bytes, int64_t resident_bytes) {
  return {.point = {Grown::kServers, {.message_bytes = 1024, .blocks = 4}},
          .memory = {.elements = 1000,
                     .parameter_bytes = 4000,
                     .older_version_bytes = older_bytes,
                     .sum_bytes = 4000,
                     .waiting_sum_bytes = 500,
                     .peak_resident_bytes = resident_bytes},
          .constant_bytes = 100};
}

TEST_CASE("a server's memory is held against 12 bytes for each parameter") {
  REQUIRE(ServerWith(4000, 12600).within_bound());
  REQUIRE_FALSE(ServerWith(4000, 12601).within_bound());
  REQUIRE_FALSE(ServerWith(4001, 1000).within_bound());
  ScalingResult result{.lines = {ServerWith(4000, 12600)}};
  REQUIRE(result.AllWithinBound());
  result.lines.push_back(ServerWith(8000, 12600));
  REQUIRE_FALSE(result.AllWithinBound());
  const std::string text = FormatScaling(result);
  INFO(text);
  REQUIRE(text.find("kept") < text.find("BROKEN"));
  REQUIRE(text.find("16.00") != std::string::npos);
  const nlohmann::json json = ToJson(result);
  REQUIRE(json["points"][0]["within_bound"] == true);
  REQUIRE(json["points"][1]["within_bound"] == false);
  REQUIRE(json["points"][1]["server"]["older_version_bytes"] == 8000);
}

}  // namespace
}  // namespace tessera::bench
