// What goes over the ceiling's sockets: a header of fixed size, then a payload
// of float32 values. Both ends are processes of this program on machines of the
// same byte order, so structs travel as they are.

#ifndef TESSERA_WORKER_BENCH_RAW_TCP_FRAME_H_
#define TESSERA_WORKER_BENCH_RAW_TCP_FRAME_H_

#include <sys/uio.h>

#include <cstdint>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace tessera::bench {

enum class FrameKind : uint32_t {
  kHello = 1,     // Worker to server, first: who it is.
  kPush = 2,      // With payload; answered with kAck.
  kPull = 3,      // Answered with kValues once the version is there.
  kPushPull = 4,  // With payload; answered with kValues.
  kAck = 5,
  kValues = 6,  // With payload.
};

struct FrameHeader {
  FrameKind kind = FrameKind::kHello;
  int32_t block = 0;  // kHello: the worker.
  int64_t step = 0;   // Of a pull: the version.
  uint64_t payload_bytes = 0;
};
static_assert(sizeof(FrameHeader) == 24);

// Writes frames to a non-blocking socket: as much as it takes, many frames with
// one call, payloads from where they lie. Not thread-safe.
class FrameSender {
 public:
  explicit FrameSender(int fd) : fd_(fd) {}

  // The payload stays as it is until it is sent.
  void Queue(const FrameHeader& header, const void* payload);

  // Sends until the socket is full or nothing is left; whether it sent
  // anything. Codes: what errno maps to.
  absl::StatusOr<bool> Send();

  bool empty() const { return queue_.empty(); }

 private:
  struct Frame {
    FrameHeader header;
    const char* payload;
    size_t sent;  // Of header and payload.
  };

  // What is to be sent next, as iovecs; returns their number.
  int Gather(struct iovec* pieces, size_t& bytes) const;
  void MarkSent(size_t bytes);

  const int fd_;
  std::deque<Frame> queue_;
};

// Where received frames go.
class FrameSink {
 public:
  virtual ~FrameSink() = default;

  // A frame begins. Gives where its payload is to be written (payload_bytes of
  // room), or null to get it in pieces. Codes: for a frame that does not belong
  // here; ends the connection.
  virtual absl::StatusOr<float*> OnHeader(const FrameHeader& header) = 0;
  // `count` values of the payload, from number `first` on.
  virtual void OnPiece(const FrameHeader&, size_t first, const float* values,
                       size_t count) {
    (void)first, (void)values, (void)count;
  }
  // The frame is complete.
  virtual void OnFrame(const FrameHeader& header) = 0;
};

// Reads frames from a non-blocking socket. Large payloads go straight to their
// place; what follows them in the socket goes to a buffer that fits a core's
// cache, with the same call, and is parsed there, many small frames at a time.
// Not thread-safe.
class FrameReceiver {
 public:
  explicit FrameReceiver(int fd);

  // Takes what the socket has, up to one buffer; whether it got anything.
  // Codes: UNAVAILABLE when the other side has closed; what errno maps to;
  // those of FrameSink::OnHeader.
  absl::StatusOr<bool> Receive(FrameSink& sink);

 private:
  // So that a core that receives finds what it parses in its second cache.
  static constexpr size_t kBufferBytes = 256 << 10;
  // Behind a payload that goes to its place.
  static constexpr size_t kTailBytes = 64 << 10;

  absl::StatusOr<size_t> Read(const struct iovec* pieces, int count);
  absl::Status Parse(FrameSink& sink);
  // Of the payload at hand, what lies at `at` in the buffer; how much it took.
  size_t TakePayload(FrameSink& sink, size_t at);

  const int fd_;
  std::unique_ptr<char, decltype(&std::free)> buffer_;
  size_t buffered_ = 0;

  // The frame whose payload is coming.
  bool in_payload_ = false;
  FrameHeader header_;
  float* place_ = nullptr;
  size_t received_ = 0;  // Of its payload, in bytes.
};

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_RAW_TCP_FRAME_H_
