#include "worker/bench/options.h"

#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"

namespace tessera::bench {
namespace {

constexpr int kMaxWorkers = 64;
constexpr int kMaxServers = 64;
constexpr int64_t kMessageGrain = 64;

absl::Status Bad(absl::string_view item, absl::string_view wanted) {
  return absl::InvalidArgumentError(
      absl::StrCat("\"", item, "\" is not ", wanted));
}

// Items without blanks around them.
template <typename Item, typename Parse>
absl::StatusOr<std::vector<Item>> ParseList(absl::string_view text,
                                            Parse parse) {
  std::vector<Item> items;
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    TESSERA_ASSIGN_OR_RETURN(Item item,
                             parse(absl::StripAsciiWhitespace(part)));
    items.push_back(std::move(item));
  }
  return items;
}

absl::StatusOr<int> ParseCount(absl::string_view text, int max) {
  int count = 0;
  if (!absl::SimpleAtoi(text, &count) || count < 1 || count > max) {
    return Bad(text, absl::StrCat("a number from 1 to ", max));
  }
  return count;
}

absl::StatusOr<int64_t> ParseMessageSize(absl::string_view text) {
  TESSERA_ASSIGN_OR_RETURN(const int64_t bytes, ParseBytes(text));
  if (bytes % kMessageGrain != 0) {
    return Bad(text, absl::StrCat("a multiple of ", kMessageGrain, " bytes"));
  }
  return bytes;
}

absl::StatusOr<Shape> ParseShape(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, 'x');
  if (parts.size() != 2) return Bad(text, "WORKERSxSERVERS, say 2x1");
  Shape shape;
  TESSERA_ASSIGN_OR_RETURN(shape.workers, ParseCount(parts[0], kMaxWorkers));
  TESSERA_ASSIGN_OR_RETURN(shape.servers, ParseCount(parts[1], kMaxServers));
  return shape;
}

}  // namespace

absl::StatusOr<int64_t> ParseBytes(absl::string_view text) {
  static constexpr std::pair<absl::string_view, int> kUnits[] = {
      {"gib", 30}, {"mib", 20}, {"kib", 10}, {"b", 0}};
  const std::string lower = absl::AsciiStrToLower(text);
  absl::string_view number = lower;
  int shift = 0;
  for (const auto& [unit, unit_shift] : kUnits) {
    if (!absl::ConsumeSuffix(&number, unit)) continue;
    shift = unit_shift;
    break;
  }
  double value = 0;
  if (!absl::SimpleAtod(absl::StripAsciiWhitespace(number), &value) ||
      !(value > 0) || value > 1e6) {
    int64_t bytes = 0;
    if (shift == 0 && absl::SimpleAtoi(number, &bytes) && bytes > 0) {
      return bytes;
    }
    return Bad(text, "a size such as 65536, 64KiB or 1.5MiB");
  }
  const double bytes = std::ldexp(value, shift);
  if (bytes != std::floor(bytes)) return Bad(text, "a whole number of bytes");
  return static_cast<int64_t>(bytes);
}

absl::StatusOr<std::vector<int64_t>> ParseByteList(absl::string_view text) {
  return ParseList<int64_t>(text, ParseBytes);
}

absl::StatusOr<std::vector<int64_t>> ParseMessageSizes(absl::string_view text) {
  return ParseList<int64_t>(text, ParseMessageSize);
}

absl::StatusOr<std::vector<Shape>> ParseShapes(absl::string_view text) {
  return ParseList<Shape>(text, ParseShape);
}

absl::StatusOr<std::vector<Operation>> ParseOperations(absl::string_view text) {
  return ParseList<Operation>(
      text, [](absl::string_view item) -> absl::StatusOr<Operation> {
        for (Operation operation :
             {Operation::kPush, Operation::kPull, Operation::kPushPull}) {
          if (item == Name(operation)) return operation;
        }
        return Bad(item, "push, pull or push-pull");
      });
}

absl::StatusOr<std::vector<Path>> ParseTransports(absl::string_view text) {
  std::vector<Path> paths;
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    const absl::string_view item = absl::StripAsciiWhitespace(part);
    if (item == "tcp") {
      paths.push_back(Path::kTcp);
    } else if (item == "shm") {
      paths.push_back(Path::kShared);
      paths.push_back(Path::kSharedInPlace);
    } else {
      return Bad(item, "tcp or shm");
    }
  }
  return paths;
}

absl::StatusOr<std::vector<v1::Encoding>> ParseEncodings(
    absl::string_view text) {
  return ParseList<v1::Encoding>(
      text, [](absl::string_view item) -> absl::StatusOr<v1::Encoding> {
        for (v1::Encoding encoding :
             {v1::ENCODING_FLOAT32, v1::ENCODING_BFLOAT16}) {
          if (item == Name(encoding)) return encoding;
        }
        return Bad(item, "float32 or bfloat16");
      });
}

absl::StatusOr<std::vector<int>> ParseCounts(absl::string_view text, int max) {
  return ParseList<int>(
      text, [max](absl::string_view item) { return ParseCount(item, max); });
}

}  // namespace tessera::bench
