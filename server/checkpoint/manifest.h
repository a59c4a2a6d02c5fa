// The manifest's bytes and what must hold of it; format.h has the frame,
// proto/tessera/v1/checkpoint.proto the fields. Pure functions.

#ifndef TESSERA_SERVER_CHECKPOINT_MANIFEST_H_
#define TESSERA_SERVER_CHECKPOINT_MANIFEST_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/checkpoint/format.h"
#include "tessera/v1/checkpoint.pb.h"
#include "tessera/v1/job.pb.h"

namespace tessera {

// Longer manifests are refused: room for a million shards and any job.
inline constexpr int64_t kMaxManifestBytes = int64_t{1} << 27;

// A manifest's identity.
SetIdentity IdentityOf(const v1::CheckpointManifest& manifest);
void SetIdentityOf(const SetIdentity& set, v1::CheckpointManifest& manifest);

// The job that the manifest carries, as SerializeJob of common/job/identity.h
// gives it. Codes: DATA_LOSS unless it is one and has the manifest's
// fingerprint.
absl::StatusOr<v1::Job> JobOf(const v1::CheckpointManifest& manifest);

// What the job's optimizer keeps for each parameter.
OptimizerState OptimizerStateOf(const v1::Job& resolved_job);

// Of all its files.
int64_t TotalBytes(const v1::CheckpointManifest& manifest);

// An element's file: the entry in `files` whose interval holds it.
int FileOfElement(const v1::CheckpointManifest& manifest, int64_t element);

// Codes of these: DATA_LOSS, and FAILED_PRECONDITION for another format
// version; the message says what is wrong.
//
// That its identity is one, its job goes with it and its files tile the vector
// in order.
absl::Status CheckManifest(const v1::CheckpointManifest& manifest);
// Parses and checks.
absl::StatusOr<v1::CheckpointManifest> ParseManifest(absl::string_view bytes);

std::string EncodeManifest(const v1::CheckpointManifest& manifest);

}  // namespace tessera

#endif  // TESSERA_SERVER_CHECKPOINT_MANIFEST_H_
