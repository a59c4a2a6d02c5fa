// What tessera_ctl does with checkpoints on a disk, without any server.

#ifndef TESSERA_DEPLOY_CTL_COMMANDS_H_
#define TESSERA_DEPLOY_CTL_COMMANDS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "common/job/job.h"
#include "common/storage/storage.h"
#include "server/checkpoint/format.h"

namespace tessera {

// What a command has to say, and whether the answer is the good one.
struct Report {
  std::string text;  // Whole lines.
  bool is_good = true;
};

// Codes of all: those of what they read and write, with words for people; an
// error means that there is no answer.

// Reads every byte of the set in `path`, or of each set in it. Good: there is a
// complete set, and none that has a manifest is damaged.
absl::StatusOr<Report> Verify(Storage& storage, const std::string& path);

// Writes a checkpoint's parameters; `path` as OpenCheckpoint's.
absl::StatusOr<Report> Export(Storage& storage, const std::string& path,
                              const std::string& safetensors_path);

// What import makes besides what it reads.
struct ImportOptions {
  Job job;
  CheckpointSetId set_id;  // Random, not 0.
  int64_t now_unix_ms = 0;
};

// Makes a checkpoint of version 0 in `root`: parameters from the file, which
// must have just the job's tensors, and optimizer state 0. Codes: also
// ALREADY_EXISTS when `root` holds a complete checkpoint: a server would take
// the newer one, which is hardly what is meant.
absl::StatusOr<Report> Import(Storage& storage,
                              const std::string& safetensors_path,
                              const std::string& root,
                              const ImportOptions& options);

// Compares two of: checkpoint, safetensors file (by its ending,
// ".safetensors"). Good: the same tensors with the same bits. Optimizer state
// takes part where both are checkpoints.
absl::StatusOr<Report> Diff(Storage& storage, const std::string& a,
                            const std::string& b);

}  // namespace tessera

#endif  // TESSERA_DEPLOY_CTL_COMMANDS_H_
