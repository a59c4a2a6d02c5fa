#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <optional>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "deploy/ctl/checkpoints.h"
#include "deploy/ctl/commands.h"
#include "deploy/report/safetensors.h"

namespace tessera {
namespace {

// One side of a comparison.
struct Side {
  std::string path;
  std::optional<CheckpointReader> checkpoint;  // Else a safetensors file.
  std::vector<NamedTensor> tensors;
};

absl::StatusOr<Side> OpenSide(Storage& storage, const std::string& path) {
  Side side{.path = path};
  if (absl::EndsWith(path, ".safetensors")) {
    TESSERA_ASSIGN_OR_RETURN(side.tensors, ReadSafetensors(path));
    return side;
  }
  TESSERA_ASSIGN_OR_RETURN(CheckpointReader reader,
                           OpenCheckpoint(storage, path));
  side.checkpoint = std::move(reader);
  return side;
}

absl::Status ReadCheckpoint(bool with_optimizer, Side& side) {
  TESSERA_ASSIGN_OR_RETURN(const Job job, JobOfCheckpoint(*side.checkpoint));
  const int sections = with_optimizer ? side.checkpoint->sections() : 1;
  for (int section = 0; section < sections; ++section) {
    TESSERA_ASSIGN_OR_RETURN(
        std::vector<NamedTensor> tensors,
        ReadSection(*side.checkpoint, job.layout(), section));
    for (NamedTensor& tensor : tensors) {
      if (section != kParameterSection) {
        absl::StrAppend(&tensor.name, " (optimizer slot ", section - 1, ")");
      }
      side.tensors.push_back(std::move(tensor));
    }
  }
  return absl::OkStatus();
}

struct Difference {
  int64_t elements = 0;  // With other bits.
  double max = 0;        // NaN once a NaN is among them.
};

Difference Compare(const std::vector<float>& a, const std::vector<float>& b) {
  Difference difference;
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::bit_cast<uint32_t>(a[i]) == std::bit_cast<uint32_t>(b[i])) {
      continue;
    }
    ++difference.elements;
    const double distance =
        std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    // No comparison with a NaN holds, so once there is one it stays.
    if (distance > difference.max || std::isnan(distance)) {
      difference.max = distance;
    }
  }
  return difference;
}

std::string Verdict(const NamedTensor& a, const NamedTensor& b,
                    bool& is_equal) {
  is_equal = false;
  if (a.shape != b.shape) {
    return absl::StrCat("shapes differ: [", absl::StrJoin(a.shape, ", "),
                        "] and [", absl::StrJoin(b.shape, ", "), "]");
  }
  const Difference difference = Compare(a.values, b.values);
  is_equal = difference.elements == 0;
  if (is_equal) return "equal to the bit";
  return absl::StrFormat("max |a - b| %.9g, %d of %d elements differ",
                         difference.max, difference.elements, a.values.size());
}

std::string OnlyIn(absl::string_view path) {
  return absl::StrCat("only in ", path);
}

Report CompareSides(const Side& a, const Side& b) {
  std::map<std::string, const NamedTensor*> others;
  size_t width = 0;
  for (const NamedTensor& tensor : a.tensors) {
    width = std::max(width, tensor.name.size());
  }
  for (const NamedTensor& tensor : b.tensors) {
    others[tensor.name] = &tensor;
    width = std::max(width, tensor.name.size());
  }
  Report report;
  const auto add = [&](const std::string& name, const std::string& verdict,
                       bool is_equal) {
    absl::StrAppendFormat(&report.text, "%-*s  %s\n", static_cast<int>(width),
                          name, verdict);
    report.is_good = report.is_good && is_equal;
  };
  for (const NamedTensor& tensor : a.tensors) {
    const auto other = others.find(tensor.name);
    if (other == others.end()) {
      add(tensor.name, OnlyIn(a.path), false);
      continue;
    }
    bool is_equal;
    const std::string verdict = Verdict(tensor, *other->second, is_equal);
    add(tensor.name, verdict, is_equal);
    others.erase(other);
  }
  for (const auto& [name, tensor] : others) add(name, OnlyIn(b.path), false);
  absl::StrAppend(&report.text,
                  report.is_good ? "Equal to the bit.\n" : "Not equal.\n");
  return report;
}

}  // namespace

absl::StatusOr<Report> Diff(Storage& storage, const std::string& a_path,
                            const std::string& b_path) {
  TESSERA_ASSIGN_OR_RETURN(Side a, OpenSide(storage, a_path));
  TESSERA_ASSIGN_OR_RETURN(Side b, OpenSide(storage, b_path));
  const bool with_optimizer =
      a.checkpoint.has_value() && b.checkpoint.has_value();
  for (Side* side : {&a, &b}) {
    if (side->checkpoint.has_value()) {
      TESSERA_RETURN_IF_ERROR(ReadCheckpoint(with_optimizer, *side));
    }
  }
  return CompareSides(a, b);
}

}  // namespace tessera
