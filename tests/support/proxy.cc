#include "tests/support/proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "common/base/check.h"
#include "tests/support/proxy_pipe.h"

namespace tessera {
namespace {

constexpr absl::Duration kHangs = absl::Minutes(2);
constexpr std::array<Flow, 2> kFlows = {Flow::kToServer, Flow::kToClient};

size_t IndexOf(Flow flow) { return flow == Flow::kToServer ? 0 : 1; }

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

const sockaddr* Generic(const sockaddr_in& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

// Bytes are to go on when they are due, not when there are more of them.
void SendAtOnce(int socket) {
  const int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void Reset(int socket) {
  const linger at_once = {.l_onoff = 1, .l_linger = 0};
  setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

// Two sockets, and a pipe each way.
class Connection {
 public:
  Connection(int client, int server)
      : client_(client),
        server_(server),
        pipes_{ProxyPipe(client, server), ProxyPipe(server, client)} {}
  ~Connection() {
    close(client_);
    close(server_);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  ProxyPipe& pipe(Flow flow) { return pipes_[IndexOf(flow)]; }
  int source(Flow flow) const {
    return flow == Flow::kToServer ? client_ : server_;
  }
  int target(Flow flow) const {
    return flow == Flow::kToServer ? server_ : client_;
  }

  void Apply(Cut cut, Flow flow) {
    switch (cut) {
      case Cut::kReset:
        Break();
        break;
      case Cut::kClose:
        pipes_[0].HalfClose();
        pipes_[1].HalfClose();
        break;
      case Cut::kHalfClose:
        pipe(flow).HalfClose();
        break;
    }
  }

  // Resets both sides as soon as this object goes.
  void Break() {
    broken_ = true;
    Reset(client_);
    Reset(server_);
  }

  bool ended() const {
    return broken_ || (pipes_[0].finished() && pipes_[1].finished());
  }

 private:
  const int client_;
  const int server_;
  std::array<ProxyPipe, 2> pipes_;
  bool broken_ = false;
};

}  // namespace

// The proxy's thread, and what it shares with callers. It alone touches
// sockets; callers change `flows_` and `orders_` and wake it.
class Proxy::Loop {
 public:
  explicit Loop(const std::string& server)
      : listener_(
            socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)),
        wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    absl::string_view port = server;
    int number = 0;
    TESSERA_CHECK(absl::ConsumePrefix(&port, "127.0.0.1:") &&
                  absl::SimpleAtoi(port, &number));
    server_ = Loopback(static_cast<uint16_t>(number));
    TESSERA_CHECK(listener_ >= 0 && wake_ >= 0);
    const sockaddr_in any = Loopback(0);
    TESSERA_CHECK(bind(listener_, Generic(any), sizeof(any)) == 0);
    TESSERA_CHECK(listen(listener_, SOMAXCONN) == 0);
  }

  ~Loop() {
    connections_.clear();
    close(listener_);
    close(wake_);
  }

  std::string Address() const {
    sockaddr_in address{};
    socklen_t length = sizeof(address);
    TESSERA_CHECK(getsockname(listener_, reinterpret_cast<sockaddr*>(&address),
                              &length) == 0);
    return absl::StrCat("127.0.0.1:", ntohs(address.sin_port));
  }

  void Run() {
    std::vector<pollfd> polled;
    while (true) {
      absl::Time due;
      {
        MutexLock lock(&mutex_);
        if (stopped_) break;
        due = Prepare(polled);
      }
      Poll(polled, due);
      MutexLock lock(&mutex_);
      Advance(polled);
    }
    MutexLock lock(&mutex_);
    for (const auto& connection : connections_) connection->Break();
  }

  void Stop() {
    MutexLock lock(&mutex_);
    stopped_ = true;
    Wake();
  }

  // Changes a flow's state.
  template <typename Change>
  void ChangeFlow(Flow flow, Change change) {
    MutexLock lock(&mutex_);
    change(flows_[IndexOf(flow)]);
    Wake();
  }

  void Heal(Flow flow) {
    MutexLock lock(&mutex_);
    FlowState& state = flows_[IndexOf(flow)];
    state.stalled = false;
    state.black_hole = false;
    heal_ = true;
    Wake();
    AwaitIdle();
  }

  void CutAll(Cut cut, Flow flow) {
    MutexLock lock(&mutex_);
    orders_.push_back({cut, flow});
    Wake();
    AwaitIdle();
  }

  int ForgetCuts() {
    MutexLock lock(&mutex_);
    size_t count = 0;
    for (FlowState& flow : flows_) {
      count += flow.cuts.size();
      flow.cuts.clear();
    }
    return static_cast<int>(count);
  }

  ProxyCounts counts() const {
    MutexLock lock(&mutex_);
    return CountsNow();
  }

  bool Await(const std::function<bool(const ProxyCounts&)>& wanted) const {
    MutexLock lock(&mutex_);
    return mutex_.AwaitFor([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(
                               mutex_) { return wanted(CountsNow()); },
                           kHangs);
  }

 private:
  struct Order {
    Cut cut;
    Flow flow;
  };

  void Wake() const {
    const uint64_t one = 1;
    // Fails only when the loop is sure to wake anyway.
    (void)!write(wake_, &one, sizeof(one));
  }

  void AwaitIdle() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    TESSERA_CHECK(mutex_.AwaitFor(
        [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
          return orders_.empty() && !heal_;
        },
        kHangs));
  }

  ProxyCounts CountsNow() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return {.connections = accepted_,
            .open = static_cast<int>(connections_.size()),
            .cuts = cuts_,
            .bytes_to_server = flows_[IndexOf(Flow::kToServer)].bytes,
            .bytes_to_client = flows_[IndexOf(Flow::kToClient)].bytes};
  }

  // What to wait for, two entries for each connection after the listener's and
  // the eventfd's; returns when to go on in any case. A socket that nobody
  // wants to use is left out, since its errors would be reported again and
  // again.
  absl::Time Prepare(std::vector<pollfd>& polled)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    polled = {{.fd = listener_, .events = POLLIN, .revents = 0},
              {.fd = wake_, .events = POLLIN, .revents = 0}};
    const absl::Time now = absl::Now();
    absl::Time due = absl::InfiniteFuture();
    for (const auto& connection : connections_) {
      for (Flow flow : kFlows) {
        const Flow other =
            flow == Flow::kToServer ? Flow::kToClient : Flow::kToServer;
        short events = 0;
        if (connection->pipe(flow).WantsToRead(flows_[IndexOf(flow)])) {
          events |= POLLIN;
        }
        const FlowState& back = flows_[IndexOf(other)];
        ProxyPipe& pipe = connection->pipe(other);
        if (pipe.WantsToWrite(back, now)) {
          events |= POLLOUT;
        } else {
          due = std::min(due, pipe.NextDue(back));
        }
        polled.push_back({.fd = events == 0 ? -1 : connection->source(flow),
                          .events = events,
                          .revents = 0});
      }
    }
    return due;
  }

  static void Poll(std::vector<pollfd>& polled, absl::Time due) {
    const absl::Duration left =
        std::max(due - absl::Now(), absl::ZeroDuration());
    const timespec timeout = absl::ToTimespec(left);
    const bool forever = due == absl::InfiniteFuture();
    if (ppoll(polled.data(), polled.size(), forever ? nullptr : &timeout,
              nullptr) <= 0) {
      for (pollfd& entry : polled) entry.revents = 0;
    }
  }

  void Advance(const std::vector<pollfd>& polled)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    uint64_t ignored;
    (void)!read(wake_, &ignored, sizeof(ignored));
    const absl::Time now = absl::Now();
    for (size_t i = 0; i < connections_.size(); ++i) {
      Connection& connection = *connections_[i];
      Move(connection, Flow::kToServer, polled[2 + 2 * i], polled[3 + 2 * i],
           now);
      Move(connection, Flow::kToClient, polled[3 + 2 * i], polled[2 + 2 * i],
           now);
    }
    CarryOutOrders();
    if (polled[0].revents != 0) Accept();
    std::erase_if(connections_, [](const auto& c) { return c->ended(); });
  }

  // Does what the poll said is possible, if it is still wanted.
  void Move(Connection& connection, Flow flow, const pollfd& source,
            const pollfd& target, absl::Time now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    constexpr short kTrouble = POLLHUP | POLLERR;
    FlowState& state = flows_[IndexOf(flow)];
    ProxyPipe& pipe = connection.pipe(flow);
    PipeEvent event = PipeEvent::kNone;
    if (!connection.ended() && (source.events & POLLIN) != 0 &&
        (source.revents & (POLLIN | kTrouble)) != 0 &&
        pipe.WantsToRead(state)) {
      event = pipe.Read(state, now);
    }
    if (event == PipeEvent::kNone && !connection.ended() &&
        (target.events & POLLOUT) != 0 &&
        (target.revents & (POLLOUT | kTrouble)) != 0 &&
        pipe.WantsToWrite(state, now)) {
      event = pipe.Write(state, now);
    }
    if (event == PipeEvent::kBroken) connection.Break();
    if (event == PipeEvent::kCut) {
      connection.Apply(state.cuts.front().cut, flow);
      state.cuts.pop_front();
      ++cuts_;
    }
  }

  void CarryOutOrders() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (const Order& order : std::exchange(orders_, {})) {
      for (const auto& connection : connections_) {
        if (connection->ended()) continue;
        connection->Apply(order.cut, order.flow);
        ++cuts_;
      }
    }
    if (!std::exchange(heal_, false)) return;
    for (const auto& connection : connections_) {
      for (Flow flow : kFlows) {
        const bool lost = connection->pipe(flow).lost_bytes();
        if (lost && !flows_[IndexOf(flow)].black_hole) connection->Break();
      }
    }
  }

  void Accept() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const int client =
        accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0) return;
    const int server =
        socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    TESSERA_CHECK(server >= 0);
    SendAtOnce(client);
    SendAtOnce(server);
    // Goes on in the background; when it fails, the first use of the socket
    // says so.
    (void)connect(server, Generic(server_), sizeof(server_));
    connections_.push_back(std::make_unique<Connection>(client, server));
    ++accepted_;
  }

  const int listener_;
  const int wake_;
  sockaddr_in server_{};  // Constant once constructed.

  mutable Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::array<FlowState, 2> flows_ ABSL_GUARDED_BY(mutex_);
  std::vector<Order> orders_ ABSL_GUARDED_BY(mutex_);
  bool heal_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::unique_ptr<Connection>> connections_ ABSL_GUARDED_BY(mutex_);
  int accepted_ ABSL_GUARDED_BY(mutex_) = 0;
  int cuts_ ABSL_GUARDED_BY(mutex_) = 0;
};

Proxy::Proxy(const std::string& server)
    : loop_(std::make_unique<Loop>(server)),
      address_(loop_->Address()),
      thread_([this] { loop_->Run(); }) {}

Proxy::~Proxy() {
  loop_->Stop();
  thread_.join();
}

void Proxy::SetLimits(Flow flow, const FlowLimits& limits) {
  loop_->ChangeFlow(flow, [&](FlowState& state) { state.limits = limits; });
}

void Proxy::Stall(Flow flow) {
  loop_->ChangeFlow(flow, [](FlowState& state) { state.stalled = true; });
}

void Proxy::BlackHole(Flow flow) {
  loop_->ChangeFlow(flow, [](FlowState& state) { state.black_hole = true; });
}

void Proxy::Heal(Flow flow) { loop_->Heal(flow); }

void Proxy::CutAll(Cut cut, Flow flow) { loop_->CutAll(cut, flow); }

void Proxy::CutAfter(Flow flow, int64_t bytes, Cut cut) {
  TESSERA_CHECK(bytes >= 1);
  loop_->ChangeFlow(flow, [&](FlowState& state) {
    state.cuts.push_back({.bytes_left = bytes, .cut = cut});
  });
}

int Proxy::ForgetCuts() { return loop_->ForgetCuts(); }

ProxyCounts Proxy::counts() const { return loop_->counts(); }

bool Proxy::Await(const std::function<bool(const ProxyCounts&)>& wanted) const {
  return loop_->Await(wanted);
}

}  // namespace tessera
