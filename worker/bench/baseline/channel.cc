#include "worker/bench/baseline/channel.h"

#include <grpcpp/grpcpp.h>

#include <climits>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "baseline.grpc.pb.h"
#include "common/base/live_count.h"

namespace tessera::bench {
namespace {

class BaselineChannel : public BlockChannel {
 public:
  BaselineChannel(const ShardPlan& plan,
                  const std::vector<std::string>& servers, int worker)
      : plan_(plan), worker_(worker) {
    for (const std::string& server : servers) {
      grpc::ChannelArguments arguments;
      // As on the server.
      arguments.SetMaxReceiveMessageSize(INT_MAX);
      stubs_.push_back(BaselineService::NewStub(grpc::CreateCustomChannel(
          server, grpc::InsecureChannelCredentials(), arguments)));
    }
  }
  ~BaselineChannel() override { live_.AwaitNone(); }

  void Start(const BlockCall& call, CallDone done) override {
    auto& stub =
        *stubs_[static_cast<size_t>(plan_.ShardOfBlock(call.block))]->async();
    switch (call.operation) {
      case Operation::kPush: {
        auto* one = new Exchange<PushRequest, PushResponse>(live_);
        FillPush(call, one->request);
        return stub.Push(&one->context, &one->request, &one->response,
                         Ending(one, call.to, std::move(done)));
      }
      case Operation::kPull: {
        auto* one = new Exchange<PullRequest, PullResponse>(live_);
        one->request.set_block(call.block);
        one->request.set_version(call.step);
        return stub.Pull(&one->context, &one->request, &one->response,
                         Ending(one, call.to, std::move(done)));
      }
      default: {
        auto* one = new Exchange<PushPullRequest, PushPullResponse>(live_);
        FillPush(call, one->request);
        return stub.PushPull(&one->context, &one->request, &one->response,
                             Ending(one, call.to, std::move(done)));
      }
    }
  }

 private:
  // What must live as long as a call.
  template <typename Request, typename Response>
  struct Exchange {
    explicit Exchange(LiveCount& count) : token(count) {}
    LiveCount::Token token;  // First, so destroyed last.
    grpc::ClientContext context;
    Request request;
    Response response;
  };

  template <typename Request>
  void FillPush(const BlockCall& call, Request& request) const {
    request.set_worker(worker_);
    request.set_block(call.block);
    request.set_step(call.step);
    request.set_values(call.gradient.data(),
                       call.gradient.size() * sizeof(float));
  }

  static absl::Status CopyValues(const PushResponse&, absl::Span<float>) {
    return absl::OkStatus();
  }
  template <typename Response>
  static absl::Status CopyValues(const Response& response,
                                 absl::Span<float> to) {
    const std::string& values = response.values();
    if (values.size() != to.size() * sizeof(float)) {
      return absl::InternalError("an answer is not a block's size");
    }
    std::memcpy(to.data(), values.data(), values.size());
    return absl::OkStatus();
  }

  template <typename Request, typename Response>
  static std::function<void(grpc::Status)> Ending(
      Exchange<Request, Response>* exchange, absl::Span<float> to,
      CallDone done) {
    return [exchange, to, done = std::move(done)](grpc::Status ended) {
      absl::Status status(static_cast<absl::StatusCode>(ended.error_code()),
                          ended.error_message());
      if (status.ok()) status = CopyValues(exchange->response, to);
      const std::unique_ptr<Exchange<Request, Response>> owner(exchange);
      if (!status.ok()) return done(std::move(status));
      done(absl::Span<const float>(to));
    };
  }

  const ShardPlan& plan_;
  const int worker_;
  LiveCount live_;
  std::vector<std::unique_ptr<BaselineService::Stub>> stubs_;
};

}  // namespace

std::unique_ptr<BlockChannel> ConnectBaseline(
    const ShardPlan& plan, const std::vector<std::string>& servers,
    int worker) {
  return std::make_unique<BaselineChannel>(plan, servers, worker);
}

}  // namespace tessera::bench
