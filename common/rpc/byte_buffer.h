// gRPC's messages as views of memory, without copying payloads.
//
//   sending    | header, copied | payload: our memory, kept alive by `owner` |
//   receiving  slices as the network cut them -> one FragmentedBytes

#ifndef TESSERA_COMMON_RPC_BYTE_BUFFER_H_
#define TESSERA_COMMON_RPC_BYTE_BUFFER_H_

#include <grpcpp/impl/codegen/call_op_set.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/tensor/fragments.h"

namespace google::protobuf {
class MessageLite;
}

namespace tessera {

// Holds a received message's slices and views them where they lie. Move-only,
// because short slices lie inside the object's own array, which moves as one.
class ReceivedMessage {
 public:
  ReceivedMessage() = default;
  // Takes the buffer's slices and leaves it empty. A buffer that cannot be read
  // (a failed decompression) gives an empty message.
  explicit ReceivedMessage(grpc::ByteBuffer& buffer);
  ReceivedMessage(ReceivedMessage&&) = default;
  ReceivedMessage& operator=(ReceivedMessage&&) = default;

  // Valid as long as this object.
  const FragmentedBytes& bytes() const { return bytes_; }

 private:
  std::vector<grpc::Slice> slices_;
  FragmentedBytes bytes_;
};

// Makes the message of SerializeHeader(header) and the payload, which is
// referenced: it must stay as it is until `released` is called, exactly once,
// on any thread and perhaps from inside gRPC. That call must be short and not
// enter gRPC.
grpc::ByteBuffer MakePayloadMessage(const google::protobuf::MessageLite& header,
                                    FragmentedBytes::Piece payload,
                                    std::function<void()> released);

// Likewise; the payload lives as long as `owner` does.
grpc::ByteBuffer MakePayloadMessage(const google::protobuf::MessageLite& header,
                                    FragmentedBytes::Piece payload,
                                    std::shared_ptr<const void> owner);

// How to write a message to a stream when `more` messages follow at once: small
// ones may then leave together, in one system call instead of one each. Another
// write, or the end of the stream, must follow soon, or the message stays.
grpc::WriteOptions StreamWriteOptions(const grpc::ByteBuffer& message,
                                      bool more);

// A message without a payload, copied.
grpc::ByteBuffer MakeMessage(const google::protobuf::MessageLite& message);

}  // namespace tessera

#endif  // TESSERA_COMMON_RPC_BYTE_BUFFER_H_
