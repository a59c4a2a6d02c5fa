// Messages whose last field is a block of values, without copying the block.
//
// PushRequest, PushPullRequest, PullResponse and PushPullResponse carry their
// values in `bytes payload = 15`. What travels is exactly the serialised
// message, so any Protocol Buffers library can talk to us; but here the message
// is taken apart into a *header* (every other field, parsed as usual, payload
// left empty) and a view of the payload where it lies.
//
//   | header fields, a hundred bytes at most | 0x7a | length | payload ... |
//
// Pure functions, so thread-safe. Encoding: https://protobuf.dev/programming-
// guides/encoding/.

#ifndef TESSERA_COMMON_WIRE_PAYLOAD_MESSAGE_H_
#define TESSERA_COMMON_WIRE_PAYLOAD_MESSAGE_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/tensor/fragments.h"

namespace google::protobuf {
class MessageLite;
}

namespace tessera {

// The field number of `payload` in every such message.
inline constexpr int kPayloadField = 15;

// Header bytes that a message may have besides its payload.
inline constexpr size_t kMaxHeaderBytes = 16 << 10;

// Parses `message` into `header`, all but the payload, and returns a view of
// the payload inside `message` (empty when there is none). Codes:
// INVALID_ARGUMENT for bytes that are no such message, a payload that is there
// twice, or a header of over kMaxHeaderBytes.
absl::StatusOr<FragmentedBytes> ParsePayloadMessage(
    const FragmentedBytes& message, google::protobuf::MessageLite& header);

// The bytes to send before a payload of `payload_bytes`, of which there is at
// least one. `header`'s own payload field must be empty.
std::string SerializeHeader(const google::protobuf::MessageLite& header,
                            size_t payload_bytes);

}  // namespace tessera

#endif  // TESSERA_COMMON_WIRE_PAYLOAD_MESSAGE_H_
