#include "worker/bench/raw_tcp/channel.h"

#include <poll.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "worker/bench/raw_tcp/frame.h"
#include "worker/bench/raw_tcp/socket.h"

namespace tessera::bench {
namespace {

class RawTcpChannel : public BlockChannel, public FrameSink {
 public:
  explicit RawTcpChannel(const ShardPlan& plan)
      : plan_(plan), calls_(static_cast<size_t>(plan.block_count())) {}

  void AddServer(Socket socket, int worker) {
    links_.push_back(std::make_unique<Link>(std::move(socket)));
    links_.back()->sender.Queue({.kind = FrameKind::kHello, .block = worker},
                                nullptr);
  }

  void Start(const BlockCall& call, CallDone done) override {
    Pending& pending = calls_[static_cast<size_t>(call.block)];
    TESSERA_CHECK(pending.done == nullptr);
    pending = {.done = std::move(done), .to = call.to};
    const FrameKind kind = call.operation == Operation::kPush ? FrameKind::kPush
                           : call.operation == Operation::kPull
                               ? FrameKind::kPull
                               : FrameKind::kPushPull;
    Link& link = *links_[static_cast<size_t>(plan_.ShardOfBlock(call.block))];
    link.sender.Queue({.kind = kind,
                       .block = call.block,
                       .step = call.step,
                       .payload_bytes = call.gradient.size() * sizeof(float)},
                      call.gradient.data());
  }

  void Drive(Signal& until) override {
    while (!until.IsSet()) {
      absl::StatusOr<bool> moved = MoveAll();
      if (!moved.ok()) {
        FailAll(moved.status());
      } else if (!*moved) {
        AwaitSockets();
      }
    }
  }

  absl::StatusOr<float*> OnHeader(const FrameHeader& header) override {
    const bool known =
        header.block >= 0 && header.block < plan_.block_count() &&
        calls_[static_cast<size_t>(header.block)].done != nullptr;
    if (known) {
      const Pending& pending = calls_[static_cast<size_t>(header.block)];
      if (header.payload_bytes == pending.to.size() * sizeof(float)) {
        return pending.to.data();
      }
    }
    return absl::InternalError(
        absl::StrCat("an answer for block ", header.block, " with ",
                     header.payload_bytes, " bytes that nobody waits for"));
  }

  void OnFrame(const FrameHeader& header) override {
    Pending call =
        std::exchange(calls_[static_cast<size_t>(header.block)], Pending());
    call.done(absl::Span<const float>(call.to));
  }

 private:
  struct Pending {
    CallDone done;
    absl::Span<float> to;
  };
  struct Link {
    explicit Link(Socket s)
        : socket(std::move(s)), sender(socket.fd()), receiver(socket.fd()) {}
    const Socket socket;
    FrameSender sender;
    FrameReceiver receiver;
  };

  absl::StatusOr<bool> MoveAll() {
    bool any = false;
    for (const auto& link : links_) {
      TESSERA_ASSIGN_OR_RETURN(const bool sent, link->sender.Send());
      TESSERA_ASSIGN_OR_RETURN(const bool got, link->receiver.Receive(*this));
      any |= sent || got;
    }
    return any;
  }

  void FailAll(const absl::Status& why) {
    for (Pending& call : calls_) {
      if (call.done == nullptr) continue;
      std::exchange(call, Pending()).done(why);
    }
  }

  void AwaitSockets() {
    polled_.clear();
    for (const auto& link : links_) {
      const int events = POLLIN | (link->sender.empty() ? 0 : POLLOUT);
      polled_.push_back({.fd = link->socket.fd(),
                         .events = static_cast<short>(events),
                         .revents = 0});
    }
    poll(polled_.data(), polled_.size(), -1);
  }

  const ShardPlan& plan_;
  std::vector<std::unique_ptr<Link>> links_;
  std::vector<Pending> calls_;  // By block; one at a time each.
  std::vector<pollfd> polled_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<BlockChannel>> ConnectRawTcp(
    const ShardPlan& plan, const std::vector<std::string>& servers,
    int worker) {
  auto channel = std::make_unique<RawTcpChannel>(plan);
  for (const std::string& server : servers) {
    TESSERA_ASSIGN_OR_RETURN(Socket socket, Connect(server));
    channel->AddServer(std::move(socket), worker);
  }
  return channel;
}

}  // namespace tessera::bench
