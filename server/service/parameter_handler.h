// Push, Pull and PushPull as plain functions: checks a request's header, calls
// the shard, fills in the answer's header. Knows messages but no network.

#ifndef TESSERA_SERVER_SERVICE_PARAMETER_HANDLER_H_
#define TESSERA_SERVER_SERVICE_PARAMETER_HANDLER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/live_count.h"
#include "common/base/mutex.h"
#include "common/job/job.h"
#include "common/plan/shard_plan.h"
#include "common/tensor/fragments.h"
#include "common/trace/trace.h"
#include "server/shard/shard_store.h"
#include "tessera/v1/parameter.pb.h"

namespace tessera {

// An answer: its header, whose payload field is empty, and its payload: bytes
// of the version, which lives as long as `owner` does.
struct PullReply {
  v1::PullResponse header;
  FragmentedBytes::Piece payload;
  std::shared_ptr<const void> owner;
};
// The answer to a PART_PUSH has no values, and no owner.
struct PushPullReply {
  v1::PushPullResponse header;
  FragmentedBytes::Piece payload;
  std::shared_ptr<const void> owner;
};

// Called exactly once, as PullCallback is.
using PullDone = std::function<void(absl::StatusOr<PullReply>)>;
using PushPullDone = std::function<void(absl::StatusOr<PushPullReply>)>;

// Names a pull that waits.
struct PullTicket {
  int block = 0;
  uint64_t id = 0;
};

// Thread-safe. Codes of all calls: those listed in parameter.proto; a request
// that is refused changes nothing.
class ParameterHandler {
 public:
  // All must outlive the handler, which must outlive its calls and what their
  // answers refer to; `shard` is the store's. `tracer` may be null.
  ParameterHandler(const Job& job, const ShardPlan& plan, int shard,
                   ShardStore& store, Tracer* tracer = nullptr);

  // `payload` is read before the call returns; `request`'s own is ignored.
  absl::StatusOr<v1::PushResponse> Push(const v1::PushRequest& request,
                                        const FragmentedBytes& payload);

  // Returns a ticket for Cancel, or nothing when `done` was called with a
  // refusal.
  std::optional<PullTicket> Pull(const v1::PullRequest& request, PullDone done);

  // Push, then Pull of the next version; see both. Refuses requests with fields
  // that are for streams.
  std::optional<PullTicket> PushPull(const v1::PushPullRequest& request,
                                     const FragmentedBytes& payload,
                                     PushPullDone done);

  // A call on a stream: a PushPull, or the half of one that `part` names.
  // `payload` is the gradient wherever it came from: `shared` is not looked at.
  std::optional<PullTicket> StreamCall(const v1::PushPullRequest& request,
                                       const FragmentedBytes& payload,
                                       PushPullDone done);

  // Ends a wait with CANCELLED; does nothing to one that has ended.
  void Cancel(const PullTicket& ticket) {
    store_.Cancel(ticket.block, ticket.id);
  }

  // Waits until all blocks that answers refer to have been let go: from then on
  // the store may be destroyed. Nothing must wait any more
  // (ShardStore::Shutdown).
  void AwaitBlocksReturned() { lent_.AwaitNone(); }

  // Payload bytes answered so far, by worker; under 0 those of Pull, which does
  // not say who asks.
  std::map<uint64_t, int64_t> pulled_bytes() const;

 private:
  template <typename Request>
  absl::Status Check(const Request& request) const;
  template <typename Request>
  absl::Status CheckPull(const Request& request) const;
  template <typename Request>
  absl::StatusOr<PushResult> Contribute(const Request& request,
                                        const FragmentedBytes& payload);
  // Both halves of a PushPull, and each alone.
  std::optional<PullTicket> DoBoth(const v1::PushPullRequest& request,
                                   const FragmentedBytes& payload,
                                   PushPullDone done);
  void DoPush(const v1::PushPullRequest& request,
              const FragmentedBytes& payload, const PushPullDone& done);
  std::optional<PullTicket> DoPull(const v1::PushPullRequest& request,
                                   const FragmentedBytes& payload,
                                   PushPullDone done);
  // Asks the store for what the request is to be answered with.
  PullTicket Await(const v1::PushPullRequest& request, int64_t version,
                   v1::Encoding encoding, v1::PushOutcome outcome,
                   PushPullDone done);
  // Fills in the answer. Counts the block as pulled by this worker, and as lent
  // until it is let go.
  template <typename Reply>
  void Lend(uint64_t worker, v1::Encoding encoding, BlockVersion block,
            Reply& reply);

  const uint64_t fingerprint_;
  const v1::Encoding push_encoding_;
  const v1::Encoding pull_encoding_;
  const ShardPlan plan_;
  const int shard_;
  ShardStore& store_;
  Tracer* const tracer_;
  LiveCount lent_;

  mutable Mutex mutex_;
  std::map<uint64_t, int64_t> pulled_bytes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SERVICE_PARAMETER_HANDLER_H_
