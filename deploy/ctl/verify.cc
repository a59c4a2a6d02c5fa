#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "deploy/ctl/checkpoints.h"
#include "deploy/ctl/commands.h"

namespace tessera {
namespace {

void AddLine(absl::string_view folder, absl::string_view verdict,
             Report& report) {
  absl::StrAppend(&report.text, folder, ": ", verdict, "\n");
}

void VerifySet(const CheckpointReader& reader, Report& report) {
  std::string problems;
  for (int shard = 0; shard < reader.manifest().files_size(); ++shard) {
    const absl::Status status = reader.VerifyFile(shard);
    if (!status.ok()) absl::StrAppend(&problems, "\n  ", status.message());
  }
  if (problems.empty()) {
    AddLine(reader.folder(),
            absl::StrFormat("good, version %d, %d files, %d bytes",
                            reader.set().version,
                            reader.manifest().files_size(), reader.bytes()),
            report);
    return;
  }
  report.is_good = false;
  AddLine(reader.folder(), absl::StrCat("damaged:", problems), report);
}

}  // namespace

absl::StatusOr<Report> Verify(Storage& storage, const std::string& path) {
  Report report;
  if (IsSetFolder(path)) {
    const auto reader = CheckpointReader::Open(storage, path);
    if (absl::IsDataLoss(reader.status())) {
      report.is_good = false;
      AddLine(path, absl::StrCat("damaged:\n  ", reader.status().message()),
              report);
      return report;
    }
    if (!reader.ok()) return reader.status();
    VerifySet(*reader, report);
    return report;
  }
  TESSERA_ASSIGN_OR_RETURN(const FoundSets found, FindSets(storage, path));
  for (const CheckpointReader& reader : found.complete) {
    VerifySet(reader, report);
  }
  for (const IncompleteSet& set : found.incomplete) {
    if (absl::IsNotFound(set.why)) {
      AddLine(set.folder, "no manifest: being written, or given up", report);
      continue;
    }
    report.is_good = false;
    AddLine(set.folder, absl::StrCat("damaged:\n  ", set.why.message()),
            report);
  }
  if (found.complete.empty()) {
    report.is_good = false;
    AddLine(path, "there is no complete checkpoint", report);
  }
  return report;
}

}  // namespace tessera
