#include "deploy/ctl/checkpoints.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"
#include "server/checkpoint/format.h"
#include "server/checkpoint/manifest.h"

namespace tessera {

bool IsSetFolder(absl::string_view path) {
  while (absl::ConsumeSuffix(&path, "/")) continue;
  return ParseSetFolderName(path.substr(path.rfind('/') + 1)).has_value();
}

absl::StatusOr<CheckpointReader> OpenCheckpoint(Storage& storage,
                                                const std::string& path) {
  if (IsSetFolder(path)) return CheckpointReader::Open(storage, path);
  TESSERA_ASSIGN_OR_RETURN(FoundSets found, FindSets(storage, path));
  if (!found.complete.empty()) return std::move(found.complete.front());
  std::string message =
      absl::StrCat("there is no complete checkpoint in ", path);
  for (const IncompleteSet& set : found.incomplete) {
    absl::StrAppend(&message, "\n  ", set.why.message());
  }
  return absl::NotFoundError(message);
}

absl::StatusOr<Job> JobOfCheckpoint(const CheckpointReader& reader) {
  TESSERA_ASSIGN_OR_RETURN(v1::Job proto, JobOf(reader.manifest()));
  auto job = Job::Create(std::move(proto));
  if (!job.ok()) {
    return absl::DataLossError(absl::StrCat(
        reader.folder(), ": its job cannot be used: ", job.status().message()));
  }
  if (job->layout().total_elements() != reader.total_elements()) {
    return absl::DataLossError(absl::StrCat(
        reader.folder(), " has ", reader.total_elements(),
        " parameters, its job's model ", job->layout().total_elements()));
  }
  return job;
}

absl::StatusOr<std::vector<NamedTensor>> ReadSection(
    const CheckpointReader& reader, const Layout& layout, int section) {
  std::vector<NamedTensor> tensors;
  for (const TensorSpec& spec : layout.tensors()) {
    NamedTensor tensor{.name = spec.name, .shape = spec.shape};
    tensor.values.resize(static_cast<size_t>(spec.size));
    TESSERA_RETURN_IF_ERROR(reader.Read(section,
                                        {spec.offset, spec.offset + spec.size},
                                        absl::MakeSpan(tensor.values)));
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

}  // namespace tessera
