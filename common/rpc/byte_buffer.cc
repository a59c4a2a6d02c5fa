#include "common/rpc/byte_buffer.h"

#include <google/protobuf/message_lite.h>

#include <atomic>
#include <utility>

#include "common/wire/payload_message.h"

namespace tessera {
namespace {

// Keeps a payload's memory while gRPC refers to it.
template <typename Owner>
struct Hold {
  explicit Hold(Owner o) : owner(std::move(o)) {
    handed_over.store(true, std::memory_order_release);
  }

  Owner owner;
  // gRPC hands the hold from thread to thread, but ThreadSanitizer cannot see
  // into Debian's build of it: this shows that it does.
  std::atomic<bool> handed_over = false;
};

// What gRPC calls when the last reference to the payload is gone.
template <typename Owner>
void Release(void* hold) {
  auto* const held = static_cast<Hold<Owner>*>(hold);
  (void)held->handed_over.load(std::memory_order_acquire);
  delete held;
}

template <typename Owner>
grpc::ByteBuffer MakeReferring(const google::protobuf::MessageLite& header,
                               FragmentedBytes::Piece payload, Owner owner) {
  // gRPC takes void*, but never writes.
  auto* data = const_cast<uint8_t*>(payload.data());
  const grpc::Slice slices[] = {
      grpc::Slice(SerializeHeader(header, payload.size())),
      grpc::Slice(data, payload.size(), &Release<Owner>,
                  new Hold<Owner>(std::move(owner)))};
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

grpc::WriteOptions StreamWriteOptions(const grpc::ByteBuffer& message,
                                      bool more) {
  // Larger ones fill a system call by themselves, and should not wait.
  constexpr size_t kSmallMessageBytes = 32 << 10;
  grpc::WriteOptions options;
  if (more && message.Length() < kSmallMessageBytes) options.set_buffer_hint();
  return options;
}

grpc::ByteBuffer MakeMessage(const google::protobuf::MessageLite& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

}  // namespace tessera
