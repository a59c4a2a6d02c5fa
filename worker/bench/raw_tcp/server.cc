#include "worker/bench/raw_tcp/server.h"

#include <poll.h>

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "worker/bench/raw_tcp/frame.h"
#include "worker/bench/shard_sums.h"

namespace tessera::bench {
namespace {

class Server;

// One worker's connection.
class Connection : public FrameSink {
 public:
  Connection(Socket socket, Server& server)
      : socket_(std::move(socket)),
        server_(server),
        sender_(socket_.fd()),
        receiver_(socket_.fd()) {}

  absl::StatusOr<float*> OnHeader(const FrameHeader& header) override;
  void OnPiece(const FrameHeader& header, size_t first, const float* values,
               size_t count) override;
  void OnFrame(const FrameHeader& header) override;

  int worker() const { return worker_; }
  bool is_gone() const { return is_gone_; }
  void set_gone() { is_gone_ = true; }
  int fd() const { return socket_.fd(); }
  FrameSender& sender() { return sender_; }
  // Whether anything moved.
  absl::StatusOr<bool> Move() {
    TESSERA_ASSIGN_OR_RETURN(const bool received, receiver_.Receive(*this));
    TESSERA_ASSIGN_OR_RETURN(const bool sent, sender_.Send());
    return received || sent;
  }

 private:
  const Socket socket_;
  Server& server_;
  FrameSender sender_;
  FrameReceiver receiver_;
  int worker_ = -1;  // Until its hello.
  bool is_gone_ = false;
};

class Server {
 public:
  Server(const ShardPlan& plan, const RawServerOptions& options)
      : workers_(options.workers),
        sums_(plan, options.shard, options.workers, options.unit),
        waiting_(static_cast<size_t>(plan.block_count())) {}

  absl::Status Serve(const Socket& listener) {
    while (connections_.size() < static_cast<size_t>(workers_)) {
      TESSERA_ASSIGN_OR_RETURN(Socket socket, Accept(listener));
      connections_.push_back(
          std::make_unique<Connection>(std::move(socket), *this));
    }
    for (int left = workers_; left > 0;) {
      bool any = false;
      for (const auto& connection : connections_) {
        if (connection->is_gone()) continue;
        const absl::StatusOr<bool> moved = connection->Move();
        if (absl::IsFailedPrecondition(moved.status())) return moved.status();
        // Its socket has an end, in one way or another.
        if (!moved.ok()) {
          connection->set_gone();
          --left;
        }
        any |= !moved.ok() || *moved;
      }
      if (!any) AwaitSockets();
    }
    return absl::OkStatus();
  }

  absl::Status CheckHeader(const Connection& from, const FrameHeader& header) {
    const bool is_push =
        header.kind == FrameKind::kPush || header.kind == FrameKind::kPushPull;
    if (header.kind == FrameKind::kHello) {
      if (header.block >= 0 && header.block < workers_) return {};
    } else if (from.worker() >= 0 && is_push) {
      TESSERA_RETURN_IF_ERROR(
          sums_.CheckPush(from.worker(), header.block, header.step));
      if (header.payload_bytes == Bytes(header.block)) return {};
    } else if (from.worker() >= 0 && header.kind == FrameKind::kPull) {
      if (sums_.Owns(header.block) && header.payload_bytes == 0) return {};
    }
    return absl::FailedPreconditionError(
        absl::StrCat("a frame of kind ", static_cast<uint32_t>(header.kind),
                     ", block ", header.block, ", ", header.payload_bytes,
                     " bytes does not belong here"));
  }

  void Add(int worker, const FrameHeader& header, const float* values,
           size_t count) {
    sums_.Add(worker, header.block, values, count);
  }

  void OnFrame(Connection& from, const FrameHeader& header) {
    if (header.kind == FrameKind::kPull) return OnPull(from, header);
    if (header.kind == FrameKind::kPush) {
      from.sender().Queue(
          {.kind = FrameKind::kAck, .block = header.block, .step = header.step},
          nullptr);
    } else {
      waiting_[static_cast<size_t>(header.block)].push_back(&from);
    }
    if (!sums_.FinishPush(header.block)) return;
    std::vector<Connection*>& waiting =
        waiting_[static_cast<size_t>(header.block)];
    for (Connection* connection : waiting) Answer(*connection, header.block);
    waiting.clear();
  }

 private:
  uint64_t Bytes(int block) const {
    return sums_.values(block).size() * sizeof(float);
  }

  void OnPull(Connection& from, const FrameHeader& header) {
    if (header.step <= sums_.version(header.block)) {
      Answer(from, header.block);
    } else {
      waiting_[static_cast<size_t>(header.block)].push_back(&from);
    }
  }

  // The values are sent from where they lie. They stay as they are: the next
  // step changes them once all workers have pushed it, which each does after it
  // has this answer.
  void Answer(Connection& to, int block) {
    to.sender().Queue({.kind = FrameKind::kValues,
                       .block = block,
                       .step = sums_.version(block),
                       .payload_bytes = Bytes(block)},
                      sums_.values(block).data());
  }

  void AwaitSockets() {
    polled_.clear();
    for (const auto& connection : connections_) {
      if (connection->is_gone()) continue;
      const int events = POLLIN | (connection->sender().empty() ? 0 : POLLOUT);
      polled_.push_back({.fd = connection->fd(),
                         .events = static_cast<short>(events),
                         .revents = 0});
    }
    poll(polled_.data(), polled_.size(), -1);
  }

  const int workers_;
  ShardSums sums_;
  std::vector<std::unique_ptr<Connection>> connections_;
  // For each block, who wants its next version.
  std::vector<std::vector<Connection*>> waiting_;
  std::vector<pollfd> polled_;
};

absl::StatusOr<float*> Connection::OnHeader(const FrameHeader& header) {
  TESSERA_RETURN_IF_ERROR(server_.CheckHeader(*this, header));
  return nullptr;
}

void Connection::OnPiece(const FrameHeader& header, size_t, const float* values,
                         size_t count) {
  server_.Add(worker_, header, values, count);
}

void Connection::OnFrame(const FrameHeader& header) {
  if (header.kind == FrameKind::kHello) {
    worker_ = header.block;
  } else {
    server_.OnFrame(*this, header);
  }
}

}  // namespace

absl::Status ServeRawTcp(const Socket& listener, const ShardPlan& plan,
                         const RawServerOptions& options) {
  return Server(plan, options).Serve(listener);
}

}  // namespace tessera::bench
