#include "worker/bench/table.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/check.h"

namespace tessera::bench {
namespace {

constexpr char kGap[] = "  ";
constexpr char kNone[] = "-";

using Row = std::vector<std::string>;

std::string Range(const Summary& summary) {
  return absl::StrCat(Figure(summary.min), "-", Figure(summary.max));
}

std::string Share(const std::optional<double>& share) {
  return share ? absl::StrFormat("%.2f", *share) : kNone;
}

Row Header() {
  return {"size",     "operation", "transport", "WxS",
          "encoding", "GB/s",      "min-max",   "of raw",
          "p50 us",   "p99 us",    "of raw",    "CPU s/GB"};
}

Row RowOf(const SeriesResult& line) {
  Row row = {FormatBytes(line.setting.message_bytes),
             std::string(Name(line.series.operation)),
             std::string(Name(line.series.path)), Name(line.setting.shape),
             std::string(Name(line.setting.encoding))};
  // The ceiling and the baseline know only one.
  if (!IsProduct(line.series.path)) {
    row.back() = std::string(Name(v1::ENCODING_FLOAT32));
  }
  if (line.throughput) {
    row.push_back(Figure(line.throughput->gb_per_second.median));
    row.push_back(Range(line.throughput->gb_per_second));
    row.push_back(Share(line.throughput->share_of_raw));
  } else {
    row.insert(row.end(), 3, kNone);
  }
  if (line.latency) {
    row.push_back(Figure(line.latency->p50_us));
    row.push_back(Figure(line.latency->p99_us));
    row.push_back(Share(line.latency->share_of_raw));
  } else {
    row.insert(row.end(), 3, kNone);
  }
  row.push_back(line.throughput
                    ? Figure(line.throughput->cpu_seconds_per_gb.median)
                    : kNone);
  return row;
}

std::string MemoryTable(const MemoryCeilings& memory) {
  const auto row = [](const char* what, const Summary& summary) {
    return Row{what, Figure(summary.median), Range(summary)};
  };
  return AlignColumns(
      {{"one core", "GB/s", "min-max"},
       row("memcpy, 256 MiB", memory.copy_large),
       row("acc += x, 256 MiB", memory.accumulate_large),
       row("memcpy, 1 MiB in cache", memory.copy_small),
       row("acc += x, 1 MiB in cache", memory.accumulate_small)},
      {true, false, false});
}

}  // namespace

std::string Figure(double value) {
  if (!(value > 0)) return absl::StrFormat("%.3g", value);
  const int digits = static_cast<int>(std::floor(std::log10(value))) + 1;
  return absl::StrFormat("%.*f", std::clamp(3 - digits, 0, 6), value);
}

std::string AlignColumns(const std::vector<std::vector<std::string>>& rows,
                         const std::vector<bool>& is_word) {
  std::vector<size_t> widths(is_word.size());
  for (const Row& row : rows) {
    TESSERA_CHECK(row.empty() || row.size() == widths.size());
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string blanks(widths[i] - row[i].size(), ' ');
      absl::StrAppend(&line, i == 0 ? "" : kGap);
      absl::StrAppend(&line, is_word[i] ? "" : blanks, row[i],
                      is_word[i] ? blanks : "");
    }
    absl::StripTrailingAsciiWhitespace(&line);
    absl::StrAppend(&text, line, "\n");
  }
  return text;
}

std::string FormatResult(const BenchResult& result) {
  std::vector<Row> rows = {Header()};
  const Setting* last = nullptr;
  for (const SeriesResult& line : result.series) {
    if (last != nullptr && line.setting != *last) rows.emplace_back();
    last = &line.setting;
    rows.push_back(RowOf(line));
  }
  std::string text =
      AlignColumns(rows, {false, true, true, true, true, false, false, false,
                          false, false, false, false});
  absl::StrAppend(&text, "\n", MemoryTable(result.memory),
                  "\nvalues checked: ", result.values_checked, ", all right\n");
  for (const std::string& line : result.left_out) {
    absl::StrAppend(&text, "left out: ", line, "\n");
  }
  return text;
}

}  // namespace tessera::bench
