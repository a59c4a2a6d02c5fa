#include "deploy/report/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace tessera {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little,
              "the format is little endian");

constexpr size_t kLengthBytes = 8;
// Data begins at a multiple of this, for readers that map the file.
constexpr size_t kAlignment = 8;

std::string Header(const Layout& layout) {
  json header = {{"__metadata__", {{"format", "tessera"}}}};
  for (const TensorSpec& tensor : layout.tensors()) {
    header[tensor.name] = {
        {"dtype", "F32"},
        {"shape", tensor.shape},
        {"data_offsets",
         {tensor.offset * 4, (tensor.offset + tensor.size) * 4}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  return text;
}

// Where a tensor lies in the data, in bytes.
struct Placed {
  uint64_t begin = 0;
  uint64_t end = 0;
  NamedTensor tensor;
};

absl::StatusOr<Placed> ParseEntry(const std::string& name, const json& entry,
                                  size_t data_bytes) {
  const auto bad = [&name](absl::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor \"", name, "\": ", what));
  };
  if (!entry.is_object() || !entry.contains("dtype") ||
      entry["dtype"] != "F32") {
    return bad("its dtype is not F32");
  }
  if (!entry.contains("shape") || !entry["shape"].is_array() ||
      !entry.contains("data_offsets") || !entry["data_offsets"].is_array() ||
      entry["data_offsets"].size() != 2) {
    return bad("it has no shape, or no two data_offsets");
  }
  Placed placed;
  placed.tensor.name = name;
  uint64_t elements = 1;
  for (const json& dimension : entry["shape"]) {
    if (!dimension.is_number_unsigned()) return bad("a dimension is no count");
    const auto size = dimension.get<uint64_t>();
    // A dimension of 0 would let any other pass the next check.
    if (size > std::numeric_limits<int64_t>::max()) {
      return bad("its shape has a dimension over 2^63 - 1");
    }
    if (size != 0 && elements > data_bytes / size) {
      return bad("its shape needs more data than there is");
    }
    elements *= size;
    placed.tensor.shape.push_back(static_cast<int64_t>(size));
  }
  for (const json& offset : entry["data_offsets"]) {
    if (!offset.is_number_unsigned()) return bad("an offset is no count");
  }
  placed.begin = entry["data_offsets"][0].get<uint64_t>();
  placed.end = entry["data_offsets"][1].get<uint64_t>();
  if (placed.begin > placed.end || placed.end > data_bytes) {
    return bad(absl::StrCat("its data_offsets are not within ", data_bytes,
                            " bytes of data"));
  }
  if (placed.end - placed.begin != elements * 4) {
    return bad("its data_offsets disagree with its shape");
  }
  return placed;
}

// Metadata maps strings to strings.
bool IsMetadata(const json& entry) {
  return entry.is_object() &&
         std::all_of(entry.begin(), entry.end(),
                     [](const json& value) { return value.is_string(); });
}

absl::StatusOr<json> ParseHeader(absl::string_view text) {
  // JSON itself lets a name be there twice, and the parser takes the last.
  std::set<std::string> names;
  std::string twice;
  const auto note_name = [&](int depth, json::parse_event_t event,
                             json& value) {
    if (event == json::parse_event_t::key && depth == 1 &&
        !names.insert(value.get<std::string>()).second) {
      twice = value.get<std::string>();
    }
    return true;
  };
  json header = json::parse(text, note_name, /*allow_exceptions=*/false);
  // White space before the object would be JSON, but not the format.
  if (!header.is_object() || text[0] != '{') {
    return absl::InvalidArgumentError("its header is no JSON object");
  }
  if (!twice.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor \"", twice, "\" is there twice"));
  }
  if (header.contains("__metadata__") && !IsMetadata(header["__metadata__"])) {
    return absl::InvalidArgumentError(
        "its __metadata__ does not map strings to strings");
  }
  return header;
}

absl::StatusOr<std::vector<NamedTensor>> Parse(absl::string_view file) {
  uint64_t header_bytes = 0;
  if (file.size() < kLengthBytes) {
    return absl::InvalidArgumentError("it is shorter than 8 bytes");
  }
  std::memcpy(&header_bytes, file.data(), kLengthBytes);
  file.remove_prefix(kLengthBytes);
  if (header_bytes > file.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("its header is ", header_bytes, " bytes long where only ",
                     file.size(), " follow"));
  }
  TESSERA_ASSIGN_OR_RETURN(const json header,
                           ParseHeader(file.substr(0, header_bytes)));
  const absl::string_view data = file.substr(header_bytes);
  std::vector<Placed> places;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    TESSERA_ASSIGN_OR_RETURN(Placed placed,
                             ParseEntry(name, entry, data.size()));
    places.push_back(std::move(placed));
  }
  std::sort(places.begin(), places.end(), [](const Placed& a, const Placed& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::vector<NamedTensor> tensors;
  uint64_t expected = 0;
  for (Placed& placed : places) {
    if (placed.begin != expected) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor \"", placed.tensor.name,
                       "\": its data overlaps another's, or leaves a gap"));
    }
    expected = placed.end;
    placed.tensor.values.resize((placed.end - placed.begin) / 4);
    // An empty vector has no memory to copy to.
    if (placed.end > placed.begin) {
      std::memcpy(placed.tensor.values.data(), data.data() + placed.begin,
                  placed.end - placed.begin);
    }
    tensors.push_back(std::move(placed.tensor));
  }
  if (expected != data.size()) {
    return absl::InvalidArgumentError("there is data that no tensor names");
  }
  return tensors;
}

}  // namespace

absl::Status WriteSafetensors(const std::string& path, const Layout& layout,
                              absl::Span<const float> values) {
  TESSERA_CHECK(static_cast<int64_t>(values.size()) == layout.total_elements());
  const std::string header = Header(layout);
  const uint64_t header_bytes = header.size();
  std::string file(reinterpret_cast<const char*>(&header_bytes), kLengthBytes);
  file.reserve(kLengthBytes + header.size() + values.size() * 4);
  file += header;
  file.append(reinterpret_cast<const char*>(values.data()), values.size() * 4);
  return WriteFileAtomically(path, file);
}

absl::StatusOr<std::vector<NamedTensor>> ReadSafetensors(
    const std::string& path) {
  TESSERA_ASSIGN_OR_RETURN(std::string file, ReadFile(path));
  auto tensors = Parse(file);
  if (!tensors.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, " is no safetensors file: ", tensors.status().message()));
  }
  return tensors;
}

}  // namespace tessera
