#include "worker/bench/tessera_channel.h"

#include <utility>

#include "common/base/status_macros.h"
#include "worker/bench/closed_form.h"
#include "worker/client/parameter_client.h"

namespace tessera::bench {
namespace {

// Ids that no coordinator gives.
constexpr uint64_t kFirstWorkerId = uint64_t{1} << 48;

class TesseraChannel : public BlockChannel {
 public:
  TesseraChannel(const TesseraChannelOptions& options,
                 std::unique_ptr<ParameterClient> client)
      : range_(RangeOf(options.worker, options.workers)),
        client_(std::move(client)) {}

  void Start(const BlockCall& call, CallDone done) override {
    auto finish = [done = std::move(done), to = call.to](absl::Status status) {
      if (!status.ok()) return done(std::move(status));
      done(absl::Span<const float>(to));
    };
    if (call.operation == Operation::kPull) {
      client_->Pull(call.block, call.step, call.to, std::move(finish));
      return;
    }
    client_->PushPull({.block = call.block,
                       .step = call.step,
                       .range = range_,
                       .values = call.gradient},
                      call.to, std::move(finish));
  }

 private:
  const MicrobatchRange range_;
  const std::unique_ptr<ParameterClient> client_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<BlockChannel>> ConnectTessera(
    const ShardPlan& plan, const TesseraChannelOptions& options) {
  const auto id = kFirstWorkerId + static_cast<uint64_t>(options.worker);
  TESSERA_ASSIGN_OR_RETURN(
      auto client,
      ParameterClient::Create(plan, {.job_fingerprint = options.job_fingerprint,
                                     .worker = WorkerId(id),
                                     .servers = options.servers,
                                     .security = options.security}));
  return std::make_unique<TesseraChannel>(options, std::move(client));
}

}  // namespace tessera::bench
