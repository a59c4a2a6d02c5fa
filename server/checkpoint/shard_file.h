// One shard's file of a set, as its manifest says it must be.

#ifndef TESSERA_SERVER_CHECKPOINT_SHARD_FILE_H_
#define TESSERA_SERVER_CHECKPOINT_SHARD_FILE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/storage/storage.h"
#include "server/checkpoint/format.h"
#include "tessera/v1/checkpoint.pb.h"

namespace tessera {

// What a shard's file begins and ends with.
struct ShardEnds {
  ShardHeader header;
  ShardFooter footer;
};

// Reads a file's header and footer and checks them against each other and the
// manifest. Codes: storage.h's, DATA_LOSS for what differs, FAILED_PRECONDITION
// for another format version; the message names the file, the offset, what was
// expected and what was found.
absl::StatusOr<ShardEnds> ReadShardEnds(Storage& storage,
                                        const std::string& folder,
                                        const v1::CheckpointManifest& manifest,
                                        int shard);

// The footer's CRC over all pieces, taken one piece further.
uint32_t ExtendPiecesCrc(uint32_t pieces_crc, absl::string_view piece);

// `status` with the file's path before its message.
absl::Status InFile(const std::string& path, const absl::Status& status);

}  // namespace tessera

#endif  // TESSERA_SERVER_CHECKPOINT_SHARD_FILE_H_
