// Checkpoints as people name them, and tensors out of them.

#ifndef TESSERA_DEPLOY_CTL_CHECKPOINTS_H_
#define TESSERA_DEPLOY_CTL_CHECKPOINTS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/job/job.h"
#include "common/storage/storage.h"
#include "deploy/report/safetensors.h"
#include "server/checkpoint/reader.h"
#include "server/checkpoint/sets.h"

namespace tessera {

// Whether the path's last name is that of a set's folder.
bool IsSetFolder(absl::string_view path);

// `path` is a set's folder, or one that holds sets: then its newest complete
// one. Codes: as CheckpointReader::Open and FindSets; NOT_FOUND when there is
// no complete set, with why each is not.
absl::StatusOr<CheckpointReader> OpenCheckpoint(Storage& storage,
                                                const std::string& path);

// The checkpoint's job. Codes: DATA_LOSS when this program does not take it, or
// its model has another size than the checkpoint.
absl::StatusOr<Job> JobOfCheckpoint(const CheckpointReader& reader);

// The tensors of one section, under the names that the job's layout gives them.
// Codes: CheckpointReader's.
absl::StatusOr<std::vector<NamedTensor>> ReadSection(
    const CheckpointReader& reader, const Layout& layout, int section);

}  // namespace tessera

#endif  // TESSERA_DEPLOY_CTL_CHECKPOINTS_H_
