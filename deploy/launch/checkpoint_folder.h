// The folder that a run's servers write their checkpoints to.

#ifndef TESSERA_DEPLOY_LAUNCH_CHECKPOINT_FOLDER_H_
#define TESSERA_DEPLOY_LAUNCH_CHECKPOINT_FOLDER_H_

#include <string>

#include "absl/status/status.h"

namespace tessera {

struct CheckpointFolderOptions {
  std::string path;
  // Go on from the newest checkpoint in it, rather than refuse what is there.
  bool resume = false;
  // Remove the sets that are there; not with `resume`.
  bool overwrite = false;
};

// Sees to it that a run starts from what it is meant to start from: nothing, or
// with `resume` a complete checkpoint. Which job it is of is for the servers to
// check. Makes the folder. Codes: ALREADY_EXISTS for sets that are there;
// NOT_FOUND when there is no complete one to resume from, with what is wrong
// with those that are not; those of the file system.
absl::Status PrepareCheckpointFolder(const CheckpointFolderOptions& options);

}  // namespace tessera

#endif  // TESSERA_DEPLOY_LAUNCH_CHECKPOINT_FOLDER_H_
