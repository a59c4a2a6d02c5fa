#include "worker/bench/raw_tcp/frame.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/base/check.h"
#include "common/base/file.h"

namespace tessera::bench {
namespace {

// One call to the kernel hands over so many bytes, in so many pieces: enough
// that its fixed cost is nothing, and soon enough done to look at the other
// direction.
constexpr size_t kSendBytes = 1 << 20;
constexpr int kSendPieces = 64;

constexpr size_t kCacheLine = 64;

bool WouldBlock() { return errno == EAGAIN || errno == EWOULDBLOCK; }

}  // namespace

void FrameSender::Queue(const FrameHeader& header, const void* payload) {
  queue_.push_back({header, static_cast<const char*>(payload), 0});
}

int FrameSender::Gather(iovec* pieces, size_t& bytes) const {
  int count = 0;
  bytes = 0;
  const auto add = [&](const char* data, size_t size) {
    size = std::min(size, kSendBytes - bytes);
    if (size == 0) return;
    pieces[count++] = {const_cast<char*>(data), size};
    bytes += size;
  };
  for (const Frame& frame : queue_) {
    if (count + 2 > kSendPieces || bytes == kSendBytes) break;
    const size_t header_sent = std::min(frame.sent, sizeof(FrameHeader));
    const size_t payload_sent = frame.sent - header_sent;
    add(reinterpret_cast<const char*>(&frame.header) + header_sent,
        sizeof(FrameHeader) - header_sent);
    if (frame.payload == nullptr) continue;
    add(frame.payload + payload_sent,
        frame.header.payload_bytes - payload_sent);
  }
  return count;
}

void FrameSender::MarkSent(size_t bytes) {
  while (bytes > 0) {
    Frame& frame = queue_.front();
    const size_t size = sizeof(FrameHeader) + frame.header.payload_bytes;
    const size_t taken = std::min(bytes, size - frame.sent);
    frame.sent += taken;
    bytes -= taken;
    if (frame.sent == size) queue_.pop_front();
  }
}

absl::StatusOr<bool> FrameSender::Send() {
  bool any = false;
  while (!queue_.empty()) {
    iovec pieces[kSendPieces];
    size_t bytes = 0;
    msghdr message{};
    message.msg_iov = pieces;
    message.msg_iovlen = static_cast<size_t>(Gather(pieces, bytes));
    const ssize_t sent = sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (sent < 0) {
      if (WouldBlock()) return any;
      return ErrnoStatus("cannot send");
    }
    any = true;
    MarkSent(static_cast<size_t>(sent));
    if (static_cast<size_t>(sent) < bytes) return true;
  }
  return any;
}

FrameReceiver::FrameReceiver(int fd)
    : fd_(fd),
      buffer_(static_cast<char*>(std::aligned_alloc(kCacheLine, kBufferBytes)),
              &std::free) {
  TESSERA_CHECK(buffer_ != nullptr);
}

absl::StatusOr<size_t> FrameReceiver::Read(const iovec* pieces, int count) {
  const ssize_t got = readv(fd_, pieces, count);
  if (got > 0) return static_cast<size_t>(got);
  if (got == 0) return absl::UnavailableError("the other side has closed");
  if (WouldBlock()) return 0;
  return ErrnoStatus("cannot receive");
}

absl::StatusOr<bool> FrameReceiver::Receive(FrameSink& sink) {
  iovec pieces[2];
  int count = 0;
  size_t direct = 0;
  if (in_payload_ && place_ != nullptr && buffered_ == 0) {
    direct = header_.payload_bytes - received_;
    pieces[count++] = {reinterpret_cast<char*>(place_) + received_, direct};
    pieces[count++] = {buffer_.get(), kTailBytes};
  } else {
    pieces[count++] = {buffer_.get() + buffered_, kBufferBytes - buffered_};
  }
  absl::StatusOr<size_t> got = Read(pieces, count);
  if (!got.ok()) return got.status();
  if (*got == 0) return false;
  direct = std::min(direct, *got);
  received_ += direct;
  buffered_ += *got - direct;
  if (in_payload_ && received_ == header_.payload_bytes) {
    in_payload_ = false;
    sink.OnFrame(header_);
  }
  absl::Status status = Parse(sink);
  if (!status.ok()) return status;
  return true;
}

absl::Status FrameReceiver::Parse(FrameSink& sink) {
  size_t at = 0;
  while (true) {
    if (in_payload_) {
      const size_t taken = TakePayload(sink, at);
      if (taken == 0) break;
      at += taken;
    } else {
      if (buffered_ - at < sizeof(FrameHeader)) break;
      std::memcpy(&header_, buffer_.get() + at, sizeof(FrameHeader));
      at += sizeof(FrameHeader);
      absl::StatusOr<float*> place = sink.OnHeader(header_);
      if (!place.ok()) return place.status();
      place_ = *place;
      received_ = 0;
      in_payload_ = true;
    }
    if (received_ == header_.payload_bytes) {
      in_payload_ = false;
      sink.OnFrame(header_);
    }
  }
  // Less than a value or a header, so all pieces keep a value's alignment.
  std::memmove(buffer_.get(), buffer_.get() + at, buffered_ - at);
  buffered_ -= at;
  return absl::OkStatus();
}

size_t FrameReceiver::TakePayload(FrameSink& sink, size_t at) {
  size_t bytes = std::min(
      buffered_ - at, static_cast<size_t>(header_.payload_bytes) - received_);
  // Pieces are of whole values.
  if (place_ == nullptr) bytes -= bytes % sizeof(float);
  if (bytes == 0) return 0;
  if (place_ != nullptr) {
    std::memcpy(reinterpret_cast<char*>(place_) + received_, buffer_.get() + at,
                bytes);
  } else {
    sink.OnPiece(header_, received_ / sizeof(float),
                 reinterpret_cast<const float*>(buffer_.get() + at),
                 bytes / sizeof(float));
  }
  received_ += bytes;
  return bytes;
}

}  // namespace tessera::bench
