// One flow of one proxied connection. Part of the proxy: see proxy.h.

#ifndef TESSERA_TESTS_SUPPORT_PROXY_PIPE_H_
#define TESSERA_TESTS_SUPPORT_PROXY_PIPE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

#include "absl/time/time.h"
#include "tests/support/proxy.h"

namespace tessera {

// A cut that is to come.
struct PlannedCut {
  int64_t bytes_left = 0;  // Until it is made.
  Cut cut = Cut::kClose;
};

// What holds for a flow of all connections.
struct FlowState {
  FlowLimits limits;
  bool stalled = false;
  bool black_hole = false;
  std::deque<PlannedCut> cuts;
  int64_t bytes = 0;  // Forwarded.
};

// What became of a pipe's attempt to move bytes.
enum class PipeEvent {
  kNone,
  kBroken,  // A side has reset, or cannot be reached.
  kCut,     // The flow's first planned cut is due on this connection.
};

// Moves bytes from one socket to another, neither of which blocks, and owns
// neither. Not thread-safe.
class ProxyPipe {
 public:
  ProxyPipe(int from, int to) : from_(from), to_(to) {}

  bool WantsToRead(const FlowState& flow) const;
  bool WantsToWrite(const FlowState& flow, absl::Time now) const;
  // When WantsToWrite changes by itself.
  absl::Time NextDue(const FlowState& flow) const;

  PipeEvent Read(FlowState& flow, absl::Time now);
  PipeEvent Write(FlowState& flow, absl::Time now);

  // Ends the flow for its receiver; the rest is swallowed.
  void HalfClose();

  // Nothing will come any more.
  bool finished() const { return source_ended_ && target_ended_; }
  // A black hole has taken bytes that the receiver will miss.
  bool lost_bytes() const { return lost_bytes_; }

 private:
  struct Chunk {
    absl::Time due;
    std::string bytes;  // None for the end of the flow.
  };

  void TakeEnd(const FlowState& flow, absl::Time now);

  const int from_;
  const int to_;
  std::deque<Chunk> chunks_;
  size_t queued_bytes_ = 0;
  size_t front_sent_ = 0;  // Bytes of the first chunk that are gone.
  absl::Time next_write_ = absl::InfinitePast();  // For the bandwidth.
  bool source_ended_ = false;
  bool target_ended_ = false;  // Shut down; what comes is swallowed.
  bool lost_bytes_ = false;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_SUPPORT_PROXY_PIPE_H_
