// Which sets a folder holds, and which of them are kept.

#ifndef TESSERA_SERVER_CHECKPOINT_SETS_H_
#define TESSERA_SERVER_CHECKPOINT_SETS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/storage/storage.h"
#include "server/checkpoint/format.h"
#include "server/checkpoint/reader.h"

namespace tessera {

// A folder that is named like a set's and holds no complete one.
struct IncompleteSet {
  std::string folder;
  SetName name;
  // NOT_FOUND: it has no manifest, so it is being written or was given up.
  // Else what CheckpointReader::Open says.
  absl::Status why;
};

struct FoundSets {
  std::vector<CheckpointReader> complete;
  std::vector<IncompleteSet> incomplete;
};

// The sets under `root`, each newest version first. Files and folders of other
// names are passed over. A set counts as complete when its manifest and all
// headers and footers are right; whether all values are is for
// CheckpointReader::Verify, or for who reads them: a set that turns out to be
// damaged is passed over for the next. Codes: storage.h's; NOT_FOUND when
// `root` is not there, which must not be taken for "no checkpoint yet" where a
// disk may not be mounted.
absl::StatusOr<FoundSets> FindSets(Storage& storage, const std::string& root);

struct RetentionOptions {
  // Complete sets to keep, at least 1, the newest of them `acknowledged`.
  int keep = 1;
  // The set that was acknowledged last. Sets of higher versions belong to
  // somebody else (say, they were found damaged and training went back), and
  // neither count nor go.
  SetName acknowledged;
};

// Removes complete sets beyond the newest `keep`, folders without a manifest
// that are older than `acknowledged`, and, once there are `keep` complete sets,
// those that are damaged and older than all of them. Never removes
// `acknowledged`, and nothing at all unless that one is complete. Takes the
// manifest away first, lastingly, so that what is left after a crash is not
// taken for a set. Returns the folders that went.
//
// Call it between two attempts, never during one: if its own sync of `root`
// fails, a folder that was just made may not last either. Codes: storage.h's,
// FAILED_PRECONDITION when `acknowledged` is not complete; a later call goes on
// where an error ended it.
absl::StatusOr<std::vector<std::string>> ApplyRetention(
    Storage& storage, const std::string& root, const RetentionOptions& options);

}  // namespace tessera

#endif  // TESSERA_SERVER_CHECKPOINT_SETS_H_
