#include "common/trace/trace_file.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace tessera {
namespace {

using Json = nlohmann::json;

constexpr size_t kPieceBytes = size_t{1} << 20;
constexpr absl::string_view kEnd = "\n]}\n";

std::string FirstLine(const TraceHeader& header) {
  Json processes = Json::array();
  for (const TraceProcess& process : header.processes) {
    processes.push_back({{"name", process.name},
                         {"pid", process.pid},
                         {"events", process.events},
                         {"dropped", process.dropped}});
  }
  const Json json = {
      {"displayTimeUnit", "ms"},
      {"otherData",
       {{"clock",
         "microseconds since the Unix epoch: each machine's monotonic clock "
         "plus an offset taken once, so processes of one machine agree, and "
         "machines agree as well as their clocks do"},
        {"processes", processes},
        {"missing", header.missing}}}};
  std::string line = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  line.pop_back();
  return absl::StrCat(line, ",\"traceEvents\":[\n");
}

absl::Status NotATrace(const std::string& path) {
  return absl::DataLossError(
      absl::StrCat(path, ": not a whole timeline as Tessera writes it"));
}

// A part, opened and read up to its first event.
struct OpenPart {
  std::ifstream file;
  std::string path;
  int64_t event_bytes = 0;  // That follow; the end left out.
};

// Reads the first line into `header`.
absl::Status ReadHeader(OpenPart& part, TraceHeader& header) {
  std::string line;
  if (!std::getline(part.file, line)) return NotATrace(part.path);
  const Json json = Json::parse(line + "]}", nullptr, false);
  if (json.is_discarded()) return NotATrace(part.path);
  const Json processes =
      json.value("/otherData/processes"_json_pointer, Json());
  if (!processes.is_array()) return NotATrace(part.path);
  for (const Json& process : processes) {
    header.processes.push_back(
        {.name = process.value("name", ""),
         .pid = process.value("pid", 0),
         .events = process.value("events", int64_t{0}),
         .dropped = process.value("dropped", int64_t{0})});
  }
  return absl::OkStatus();
}

// Checks the part's end and goes back to its first event.
absl::Status MeasureEvents(OpenPart& part) {
  const std::streamoff begin = part.file.tellg();
  std::string end(kEnd.size(), '\0');
  part.file.seekg(-static_cast<std::streamoff>(end.size()), std::ios::end);
  part.event_bytes = part.file.tellg() - begin;
  part.file.read(end.data(), static_cast<std::streamsize>(end.size()));
  part.file.seekg(begin);
  const bool whole = part.file.good() && end == kEnd && part.event_bytes > 0;
  return whole ? absl::OkStatus() : NotATrace(part.path);
}

absl::Status CopyEvents(OpenPart& part, TraceFile& to) {
  std::string piece;
  while (part.event_bytes > 0) {
    piece.resize(std::min(kPieceBytes, static_cast<size_t>(part.event_bytes)));
    if (!part.file.read(piece.data(),
                        static_cast<std::streamsize>(piece.size()))) {
      return NotATrace(part.path);
    }
    TESSERA_RETURN_IF_ERROR(to.Append(piece));
    part.event_bytes -= static_cast<int64_t>(piece.size());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<TraceFile>> TraceFile::Create(
    const std::string& path, const TraceHeader& header) {
  TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<AtomicFile> file,
                           AtomicFile::Create(path));
  TESSERA_RETURN_IF_ERROR(file->Append(FirstLine(header)));
  return std::unique_ptr<TraceFile>(new TraceFile(std::move(file)));
}

absl::Status TraceFile::AppendWhenLarge(std::string& lines) {
  if (lines.size() < kPieceBytes) return absl::OkStatus();
  const absl::Status status = file_->Append(lines);
  lines.clear();
  return status;
}

absl::Status TraceFile::Finish(absl::string_view lines) {
  TESSERA_RETURN_IF_ERROR(file_->Append(lines));
  TESSERA_RETURN_IF_ERROR(file_->Append(kEnd));
  return file_->Commit();
}

absl::Status MergeTraces(const std::vector<TracePart>& parts,
                         const std::string& path) {
  TraceHeader header;
  std::vector<OpenPart> open;
  for (const TracePart& part : parts) {
    OpenPart next{.file = std::ifstream(part.path, std::ios::binary),
                  .path = part.path};
    if (!next.file) {
      header.missing.push_back(absl::StrCat(
          part.process, ": it ended before it could write its timeline"));
      continue;
    }
    TESSERA_RETURN_IF_ERROR(ReadHeader(next, header));
    TESSERA_RETURN_IF_ERROR(MeasureEvents(next));
    open.push_back(std::move(next));
  }
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<TraceFile> merged,
                           TraceFile::Create(path, header));
  for (size_t i = 0; i < open.size(); ++i) {
    if (i > 0) TESSERA_RETURN_IF_ERROR(merged->Append(",\n"));
    TESSERA_RETURN_IF_ERROR(CopyEvents(open[i], *merged));
  }
  return merged->Finish("");
}

}  // namespace tessera
