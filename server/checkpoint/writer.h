// Writes sets, so that one which was acknowledged is whole, on the disk, for
// ever. format.h has what is written.
//
//   each shard:   WriteShardFile   make the folder -> sync ROOT
//                                  pieces -> sync -> rename -> sync the folder
//   then one:     WriteManifest    look at every file -> the same for it
//   then:         the set is acknowledged
//
// An attempt that failed anywhere is given up for good; the next one draws a
// new set id and thereby a new folder. To carry on would be to trust a disk
// that has just shown that it drops what it was given
// (common/storage/storage.h).

#ifndef TESSERA_SERVER_CHECKPOINT_WRITER_H_
#define TESSERA_SERVER_CHECKPOINT_WRITER_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/plan/shard_plan.h"
#include "common/storage/storage.h"
#include "server/checkpoint/format.h"
#include "server/checkpoint/pacer.h"
#include "tessera/v1/checkpoint.pb.h"

namespace tessera {

// What a shard holds at the version that is written. The writer calls it from
// its own thread only, one call at a time.
class CheckpointSource {
 public:
  virtual ~CheckpointSource() = default;

  // Copies a section's values of `elements`, which are within the shard's, to
  // `out`, of the same size. Values come from host or device memory alike. An
  // error ends the writing, which returns it.
  virtual absl::Status Read(int section, const Interval& elements,
                            absl::Span<float> out) = 0;

  // Elements before `end` will not be asked for again: their memory may go.
  virtual void Release(int64_t /*end*/) {}
};

// A full piece, when nobody has a reason to choose: large enough that a disk
// does not notice its header, small enough for a processor's cache.
inline constexpr int kDefaultPieceElements = 1 << 18;

// Writes one shard's file into the set's folder under `root`, and makes the
// folder if need be. What it returns goes into the manifest. On any error no
// more is left than garbage in this attempt's folder. Codes: storage.h's
// (RESOURCE_EXHAUSTED also before a byte is written, when there is not enough
// space), those of `source` and `pacer`, ALREADY_EXISTS when this file was
// begun before: an attempt is not taken up again.
absl::StatusOr<v1::CheckpointFile> WriteShardFile(Storage& storage,
                                                  const std::string& root,
                                                  const ShardHeader& header,
                                                  CheckpointSource& source,
                                                  Pacer& pacer);

// Completes the set, once all its files are written. OK means that the set
// lasts and may be acknowledged; an error that it must not be, although it may
// turn out to be there after all. Reads each file's header and footer first.
// Codes: storage.h's, DATA_LOSS where a file is not what the manifest says,
// ALREADY_EXISTS when this manifest was begun before.
absl::Status WriteManifest(Storage& storage, const std::string& root,
                           const v1::CheckpointManifest& manifest);

}  // namespace tessera

#endif  // TESSERA_SERVER_CHECKPOINT_WRITER_H_
