#include "common/rpc/byte_buffer.h"

#include <google/protobuf/message_lite.h>

#include <utility>

#include "common/wire/payload_message.h"

namespace tessera {
namespace {

// What gRPC calls when the last reference to the payload is gone.
template <typename Owner>
void Release(void* owner) {
  delete static_cast<Owner*>(owner);
}

template <typename Owner>
grpc::ByteBuffer MakeReferring(const google::protobuf::MessageLite& header,
                               FragmentedBytes::Piece payload, Owner owner) {
  // gRPC takes void*, but never writes.
  auto* data = const_cast<uint8_t*>(payload.data());
  const grpc::Slice slices[] = {
      grpc::Slice(SerializeHeader(header, payload.size())),
      grpc::Slice(data, payload.size(), &Release<Owner>,
                  new Owner(std::move(owner)))};
  return grpc::ByteBuffer(slices, 2);
}

// Calls a function when destroyed.
class Notice {
 public:
  explicit Notice(std::function<void()> released)
      : released_(std::move(released)) {}
  Notice(Notice&& other) noexcept
      : released_(std::exchange(other.released_, nullptr)) {}
  ~Notice() {
    if (released_) released_();
  }

 private:
  std::function<void()> released_;
};

}  // namespace

ReceivedMessage::ReceivedMessage(grpc::ByteBuffer& buffer) {
  if (buffer.Valid() && !buffer.Dump(&slices_).ok()) slices_.clear();
  buffer.Clear();
  for (const grpc::Slice& slice : slices_) {
    bytes_.Append({slice.begin(), slice.size()});
  }
}

grpc::ByteBuffer MakePayloadMessage(const google::protobuf::MessageLite& header,
                                    FragmentedBytes::Piece payload,
                                    std::function<void()> released) {
  return MakeReferring(header, payload, Notice(std::move(released)));
}

grpc::ByteBuffer MakePayloadMessage(const google::protobuf::MessageLite& header,
                                    FragmentedBytes::Piece payload,
                                    std::shared_ptr<const void> owner) {
  return MakeReferring(header, payload, std::move(owner));
}

grpc::ByteBuffer MakeMessage(const google::protobuf::MessageLite& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

}  // namespace tessera
