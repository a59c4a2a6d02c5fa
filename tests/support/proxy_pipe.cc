#include "tests/support/proxy_pipe.h"

#include <sys/socket.h>
#include <sys/types.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace tessera {
namespace {

constexpr size_t kReadBytes = 64 << 10;
constexpr size_t kMaxQueuedBytes = 1 << 20;
// Writes in a second when the bandwidth is limited.
constexpr int64_t kWritesPerSecond = 100;

bool WouldBlock() { return errno == EAGAIN || errno == EINTR; }

}  // namespace

bool ProxyPipe::WantsToRead(const FlowState& flow) const {
  if (source_ended_ || flow.stalled) return false;
  return target_ended_ || queued_bytes_ < kMaxQueuedBytes;
}

bool ProxyPipe::WantsToWrite(const FlowState& flow, absl::Time now) const {
  return NextDue(flow) <= now;
}

absl::Time ProxyPipe::NextDue(const FlowState& flow) const {
  if (chunks_.empty() || flow.stalled) return absl::InfiniteFuture();
  return std::max(chunks_.front().due, next_write_);
}

PipeEvent ProxyPipe::Read(FlowState& flow, absl::Time now) {
  std::array<char, kReadBytes> buffer;
  const ssize_t got = recv(from_, buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got < 0) return WouldBlock() ? PipeEvent::kNone : PipeEvent::kBroken;
  if (got == 0) {
    TakeEnd(flow, now);
    return PipeEvent::kNone;
  }
  if (target_ended_) return PipeEvent::kNone;
  if (flow.black_hole) {
    lost_bytes_ = true;
    return PipeEvent::kNone;
  }
  const auto size = static_cast<size_t>(got);
  chunks_.push_back(
      {now + flow.limits.delay, std::string(buffer.data(), size)});
  queued_bytes_ += size;
  return PipeEvent::kNone;
}

void ProxyPipe::TakeEnd(const FlowState& flow, absl::Time now) {
  source_ended_ = true;
  if (target_ended_) return;
  if (flow.black_hole) {
    lost_bytes_ = true;
  } else {
    chunks_.push_back({now + flow.limits.delay, ""});
  }
}

PipeEvent ProxyPipe::Write(FlowState& flow, absl::Time now) {
  const std::string& bytes = chunks_.front().bytes;
  if (bytes.empty()) {
    HalfClose();
    return PipeEvent::kNone;
  }
  auto count = static_cast<int64_t>(bytes.size() - front_sent_);
  const int64_t rate = flow.limits.bytes_per_second;
  if (rate > 0) {
    count = std::min(count, std::max<int64_t>(rate / kWritesPerSecond, 1));
  }
  if (!flow.cuts.empty()) {
    count = std::min(count, flow.cuts.front().bytes_left);
  }
  const ssize_t sent =
      send(to_, bytes.data() + front_sent_, static_cast<size_t>(count),
           MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) return WouldBlock() ? PipeEvent::kNone : PipeEvent::kBroken;
  flow.bytes += sent;
  if (rate > 0) {
    next_write_ = now + absl::Seconds(sent) / static_cast<double>(rate);
  }
  front_sent_ += static_cast<size_t>(sent);
  queued_bytes_ -= static_cast<size_t>(sent);
  if (front_sent_ == bytes.size()) {
    chunks_.pop_front();
    front_sent_ = 0;
  }
  if (flow.cuts.empty()) return PipeEvent::kNone;
  flow.cuts.front().bytes_left -= sent;
  return flow.cuts.front().bytes_left > 0 ? PipeEvent::kNone : PipeEvent::kCut;
}

void ProxyPipe::HalfClose() {
  chunks_.clear();
  queued_bytes_ = 0;
  front_sent_ = 0;
  target_ended_ = true;
  shutdown(to_, SHUT_WR);
}

}  // namespace tessera
