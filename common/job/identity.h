// What makes a job the same job: its bytes, and their fingerprint. Pure
// functions, so thread-safe.

#ifndef TESSERA_COMMON_JOB_IDENTITY_H_
#define TESSERA_COMMON_JOB_IDENTITY_H_

#include <google/protobuf/message_lite.h>

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "tessera/v1/job.pb.h"

namespace tessera {

// The same bytes for equal messages, in every process of one build (Protocol
// Buffers promise no more).
std::string SerializeInOrder(const google::protobuf::MessageLite& message);

// The job as others compare and keep it: without `operation`, for how a job is
// run does not change what comes of it.
std::string SerializeJob(const v1::Job& resolved_job);

// First 8 bytes, little endian, of the SHA-256 of what SerializeJob gives.
uint64_t FingerprintOfSerialized(absl::string_view job);

}  // namespace tessera

#endif  // TESSERA_COMMON_JOB_IDENTITY_H_
