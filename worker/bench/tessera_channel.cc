#include "worker/bench/tessera_channel.h"

#include <cstdint>
#include <utility>

#include "absl/time/time.h"
#include "common/base/status_macros.h"
#include "worker/bench/closed_form.h"
#include "worker/client/block_view.h"
#include "worker/client/parameter_client.h"

namespace tessera::bench {
namespace {

// Ids that no coordinator gives.
constexpr uint64_t kFirstWorkerId = uint64_t{1} << 48;
constexpr absl::Duration kUnreachableAfter = absl::Seconds(10);
constexpr absl::Duration kSharingTimeout = absl::Seconds(10);

// A view's values as floats, where they lie.
absl::StatusOr<absl::Span<const float>> Floats(const BlockView& view) {
  const auto pieces = view.bytes().pieces();
  if (view.encoding() != v1::ENCODING_FLOAT32 || pieces.size() != 1 ||
      reinterpret_cast<uintptr_t>(pieces[0].data()) % alignof(float) != 0) {
    return absl::InternalError(
        "values in shared memory are not float32 in one piece");
  }
  return absl::MakeConstSpan(reinterpret_cast<const float*>(pieces[0].data()),
                             pieces[0].size() / sizeof(float));
}

class TesseraChannel : public BlockChannel {
 public:
  TesseraChannel(const TesseraChannelOptions& options,
                 std::unique_ptr<ParameterClient> client)
      : in_place_(options.path == Path::kSharedInPlace),
        range_(RangeOf(options.worker, options.workers)),
        client_(std::move(client)) {}

  void Start(const BlockCall& call, CallDone done) override {
    const BlockGradient gradient{.block = call.block,
                                 .step = call.step,
                                 .range = range_,
                                 .values = call.gradient};
    if (call.operation == Operation::kPushPull && in_place_) {
      // The view goes once the values have been read. That they are all
      // compared says more than BlockView::Valid would.
      client_->PushPullView(
          gradient, [done = std::move(done)](absl::StatusOr<BlockView> view) {
            done(view.ok() ? Floats(*view) : view.status());
          });
      return;
    }
    auto finish = [done = std::move(done), to = call.to](absl::Status status) {
      if (!status.ok()) return done(std::move(status));
      done(absl::Span<const float>(to));
    };
    if (call.operation == Operation::kPull) {
      client_->Pull(call.block, call.step, call.to, std::move(finish));
    } else {
      client_->PushPull(gradient, call.to, std::move(finish));
    }
  }

 private:
  const bool in_place_;
  const MicrobatchRange range_;
  const std::unique_ptr<ParameterClient> client_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<BlockChannel>> ConnectTessera(
    const ShardPlan& plan, const TesseraChannelOptions& options) {
  const bool shares = options.path != Path::kTcp;
  const auto id = kFirstWorkerId + static_cast<uint64_t>(options.worker);
  TESSERA_ASSIGN_OR_RETURN(
      auto client, ParameterClient::Create(
                       plan, {.job_fingerprint = options.job_fingerprint,
                              .worker = WorkerId(id),
                              .servers = options.servers,
                              .unreachable_after = kUnreachableAfter,
                              .security = options.security,
                              .transport = shares ? Transport::kSharedMemory
                                                  : Transport::kTcp,
                              .region = shares ? options.region : nullptr,
                              .push_encoding = options.encoding,
                              .pull_encoding = options.encoding}));
  if (shares) {
    TESSERA_RETURN_IF_ERROR(client->AwaitSharedMemory(kSharingTimeout));
  }
  return std::make_unique<TesseraChannel>(options, std::move(client));
}

}  // namespace tessera::bench
