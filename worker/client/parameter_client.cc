#include "worker/client/parameter_client.h"

#include <grpcpp/channel.h>
#include <grpcpp/completion_queue.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/check.h"
#include "common/base/live_count.h"
#include "common/base/status_macros.h"
#include "common/device/buffer_pool.h"
#include "common/device/cpu/cpu_device.h"
#include "common/rpc/completions.h"
#include "common/rpc/transport.h"
#include "common/shm/shm_offer.h"
#include "common/tensor/bfloat16.h"
#include "worker/client/block_call.h"
#include "worker/client/callback_queue.h"
#include "worker/client/server_link.h"

namespace tessera {
namespace {

// Measured on two cores: one thread beats two. See ParameterService, which does
// the same. Threads of one queue may share a stream: its answers are blocks of
// their own, and everything else is under locks.
size_t ThreadCount(int asked) {
  if (asked > 0) return static_cast<size_t>(asked);
  return std::max<size_t>(1, std::thread::hardware_concurrency() / 2);
}

// So that one attempt to connect does not outlast the caller's patience.
absl::Duration ConnectTimeout(absl::Duration unreachable_after) {
  return std::clamp(unreachable_after, absl::Milliseconds(100),
                    TransportOptions().connect_timeout);
}

class GrpcParameterClient : public ParameterClient {
 public:
  GrpcParameterClient(const ShardPlan& plan, std::unique_ptr<Device> cpu,
                      const ParameterClientOptions& options)
      : plan_(plan),
        push_encoding_(options.push_encoding),
        cpu_(std::move(cpu)),
        rounded_(std::in_place, *cpu_, MemoryKind::kHost, options.region),
        queues_(
            std::min(ThreadCount(options.threads), options.servers.size())) {
    for (size_t i = 0; i < ThreadCount(options.threads); ++i) {
      threads_.emplace_back(
          [&queue = queues_[i % queues_.size()]] { RunCompletions(queue); });
    }
  }

  ~GrpcParameterClient() override {
    for (const auto& link : links_) link->Close();
    outstanding_.AwaitNone();
    callbacks_.Stop();
    helper_.Stop();
    for (grpc::CompletionQueue& queue : queues_) queue.Shutdown();
    for (std::thread& thread : threads_) thread.join();
  }

  // In shard order, before any call.
  void AddServer(ServerIdentity server, const ParameterClientOptions& options,
                 std::shared_ptr<grpc::Channel> channel) {
    const LinkTools tools{.queue = queues_[links_.size() % queues_.size()],
                          .callbacks = callbacks_,
                          .helper = helper_,
                          .traffic = traffic_};
    links_.push_back(std::make_unique<ServerLink>(std::move(server), options,
                                                  std::move(channel), tools));
  }

  void PushPull(const BlockGradient& gradient, absl::Span<float> to,
                BlockDone done) override {
    TESSERA_CHECK(gradient.values.size() == BlockSize(gradient.block));
    TESSERA_CHECK(to.empty() || to.size() == gradient.values.size());
    Start({.part = to.empty() ? v1::PART_PUSH : v1::PART_UNSPECIFIED,
           .gradient = gradient,
           .version = gradient.step + 1,
           .elements = gradient.values.size(),
           .to = to,
           .done = std::move(done)});
  }

  void PushPullView(const BlockGradient& gradient, ViewDone done) override {
    TESSERA_CHECK(gradient.values.size() == BlockSize(gradient.block));
    Start({.gradient = gradient,
           .version = gradient.step + 1,
           .elements = gradient.values.size(),
           .view_done = std::move(done)});
  }

  void Pull(int block, int64_t version, absl::Span<float> to,
            BlockDone done) override {
    TESSERA_CHECK(to.size() == BlockSize(block));
    Start({.part = v1::PART_PULL,
           .gradient = {.block = block},
           .version = version,
           .elements = to.size(),
           .to = to,
           .done = std::move(done)});
  }

  void SetGeneration(int64_t generation) override { generation_ = generation; }

  void CancelAll() override {
    for (const auto& link : links_) link->CancelAll();
    outstanding_.AwaitNone();
  }

  void UseRegion(std::shared_ptr<SharedRegion> region) override {
    CancelAll();
    rounded_.emplace(*cpu_, MemoryKind::kHost, region);
    for (const auto& link : links_) link->UseRegion(region);
  }

  absl::Status AwaitSharedMemory(absl::Duration timeout) override {
    const absl::Time deadline = absl::Now() + timeout;
    for (const auto& link : links_) {
      TESSERA_RETURN_IF_ERROR(link->AwaitSharedMemory(deadline));
    }
    return absl::OkStatus();
  }

  ClientTraffic traffic() const override {
    return {.pushed_bytes = traffic_.pushed_bytes,
            .pulled_bytes = traffic_.pulled_bytes,
            .retries = traffic_.retries};
  }

 private:
  size_t BlockSize(int block) const {
    TESSERA_CHECK(block >= 0 && block < plan_.block_count());
    return static_cast<size_t>(plan_.BlockElements(block).size());
  }

  void Start(BlockCall::Request request) {
    request.generation = generation_;
    if (push_encoding_ == v1::ENCODING_BFLOAT16 &&
        request.part != v1::PART_PULL) {
      absl::StatusOr<BufferRef> rounded = Round(request.gradient.values);
      if (!rounded.ok()) return Fail(std::move(request), rounded.status());
      request.rounded = *std::move(rounded);
    }
    ServerLink& link = *links_[static_cast<size_t>(
        plan_.ShardOfBlock(request.gradient.block))];
    link.Start(std::make_shared<BlockCall>(std::move(request), link.server(),
                                           callbacks_, outstanding_));
  }

  absl::StatusOr<BufferRef> Round(absl::Span<const float> values) {
    TESSERA_ASSIGN_OR_RETURN(BufferRef to,
                             rounded_->Get(values.size() * kBfloat16Bytes));
    RoundToBfloat16(values, static_cast<uint8_t*>(to.data()));
    return to;
  }

  // Ends a call that cannot even begin, on the callbacks' thread.
  void Fail(BlockCall::Request request, const absl::Status& why) {
    const ServerIdentity& server =
        links_[static_cast<size_t>(plan_.ShardOfBlock(request.gradient.block))]
            ->server();
    callbacks_.Post([call = std::make_shared<BlockCall>(
                         std::move(request), server, callbacks_, outstanding_),
                     why] { call->Finish(why); });
  }

  const ShardPlan plan_;
  const v1::Encoding push_encoding_;
  // Gradients as they are pushed, where those are rounded. Outlives the calls;
  // always there.
  const std::unique_ptr<Device> cpu_;
  std::optional<BufferPool> rounded_;
  TrafficCounters traffic_;
  std::atomic<int64_t> generation_ = 0;
  LiveCount outstanding_;
  CallbackQueue callbacks_;
  CallbackQueue helper_;
  std::deque<grpc::CompletionQueue> queues_;
  std::vector<std::unique_ptr<ServerLink>> links_;
  std::vector<std::thread> threads_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ParameterClient>> ParameterClient::Create(
    const ShardPlan& plan, ParameterClientOptions options) {
  if (options.servers.size() != static_cast<size_t>(plan.shard_count())) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.servers.size(), " server addresses for a plan of ",
                     plan.shard_count(), " shards: list one for each"));
  }
  if (options.transport == Transport::kSharedMemory && ShmHostId().empty()) {
    return absl::FailedPreconditionError(
        "no shared memory: this system does not say which machine it is");
  }
  auto client =
      std::make_unique<GrpcParameterClient>(plan, MakeCpuDevice(), options);
  const TransportOptions transport{
      .block_bytes =
          plan.block_elements() * static_cast<int64_t>(sizeof(float)),
      .connect_timeout = ConnectTimeout(options.unreachable_after)};
  for (int shard = 0; shard < plan.shard_count(); ++shard) {
    const std::string& address = options.servers[static_cast<size_t>(shard)];
    TESSERA_ASSIGN_OR_RETURN(auto channel,
                             Connect(address, options.security, transport));
    client->AddServer({.address = address,
                       .shard = shard,
                       .job_fingerprint = options.job_fingerprint,
                       .worker = options.worker,
                       .push_encoding = options.push_encoding,
                       .pull_encoding = options.pull_encoding,
                       .tracer = options.tracer},
                      options, std::move(channel));
  }
  return client;
}

}  // namespace tessera
