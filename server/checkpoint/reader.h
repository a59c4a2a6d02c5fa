// Reads one complete set, for any number of servers and any block size.

#ifndef TESSERA_SERVER_CHECKPOINT_READER_H_
#define TESSERA_SERVER_CHECKPOINT_READER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/plan/shard_plan.h"
#include "common/storage/storage.h"
#include "server/checkpoint/format.h"
#include "server/checkpoint/shard_file.h"
#include "tessera/v1/checkpoint.pb.h"

namespace tessera {

// Immutable, so thread-safe. Keeps no file open: a set that is removed
// meanwhile gives NOT_FOUND, never other bytes.
//
// Codes of all that reads: storage.h's; DATA_LOSS for bytes that are not those
// of this set, FAILED_PRECONDITION for another format version. The message
// names the file, the offset, what was expected and what was found.
class CheckpointReader {
 public:
  // Reads the manifest of the set in `folder` (ROOT/checkpoint-...) and the
  // header and footer of each of its files, and checks that all belong to the
  // one set that the folder's name says. `storage` must outlive the reader.
  static absl::StatusOr<CheckpointReader> Open(Storage& storage,
                                               const std::string& folder);

  const std::string& folder() const { return folder_; }
  const v1::CheckpointManifest& manifest() const { return manifest_; }
  SetIdentity set() const;
  int64_t total_elements() const { return manifest_.total_elements(); }
  // Parameters and as many slots as the job's optimizer has.
  int sections() const { return files_.front().header.sections(); }
  // Of all files.
  int64_t bytes() const;

  // Copies a section's values of `elements` to `out`, which has room for just
  // them. Every piece that it takes values from is checked whole. After an
  // error `out` holds anything. Codes: also INVALID_ARGUMENT for a section or
  // elements that the set does not have.
  absl::Status Read(int section, const Interval& elements,
                    absl::Span<float> out) const;

  // Reads and checks every byte of one shard's file; of all files. `shard` is
  // in [0, manifest().files_size()).
  absl::Status VerifyFile(int shard) const;
  absl::Status Verify() const;

 private:
  CheckpointReader(Storage& storage, std::string folder,
                   v1::CheckpointManifest manifest,
                   std::vector<ShardEnds> files);

  std::string FilePath(int shard) const;
  absl::Status ReadFromFile(int shard, int section, const Interval& elements,
                            float* out) const;

  Storage* storage_;
  std::string folder_;
  v1::CheckpointManifest manifest_;
  std::vector<ShardEnds> files_;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_CHECKPOINT_READER_H_
