// A worker's connection to all servers: one stream of PushPull to each shard,
// blocks addressed by the plan, failed calls repeated until they succeed.

#ifndef TESSERA_WORKER_CLIENT_PARAMETER_CLIENT_H_
#define TESSERA_WORKER_CLIENT_PARAMETER_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/base/strong_id.h"
#include "common/plan/reduction_tree.h"
#include "common/plan/shard_plan.h"
#include "common/rpc/credentials.h"
#include "common/shm/shared_region.h"
#include "common/trace/trace.h"
#include "tessera/v1/encoding.pb.h"
#include "worker/client/block_view.h"

namespace tessera {

enum class Transport {
  kAuto,          // Shared memory with those servers where it can be.
  kTcp,           // Everything over the network.
  kSharedMemory,  // Calls to servers that share no memory fail.
};

struct ParameterClientOptions {
  uint64_t job_fingerprint = 0;
  WorkerId worker;
  // Addresses in shard order; as many as the plan has shards.
  std::vector<std::string> servers;
  // How long a server may be out of reach before calls to it fail with
  // UNAVAILABLE. Until then they are repeated with growing pauses.
  absl::Duration unreachable_after = absl::Seconds(60);
  // Called once when a server is out of reach, and again every minute, with a
  // sentence for whoever watches; on any thread. May be null.
  std::function<void(const std::string&)> on_outage;
  ChannelSecurity security;
  Transport transport = Transport::kAuto;
  // Gradients that lie here need not be sent to servers on the same machine.
  // Without it, only what servers answer may travel in shared memory.
  std::shared_ptr<SharedRegion> region;
  // How the job says that values travel.
  v1::Encoding push_encoding = v1::ENCODING_FLOAT32;
  v1::Encoding pull_encoding = v1::ENCODING_FLOAT32;
  // That handle answers. 0 means one for two cores.
  int threads = 0;
  // Records what becomes of calls, unless it is null; must outlive the client.
  Tracer* tracer = nullptr;
};

struct BlockGradient {
  int block = 0;
  int64_t step = 0;
  MicrobatchRange range;
  double loss_sum = 0;
  // The block's gradient: not copied, so it must stay as it is until `done`.
  // When calls end without an answer although a gradient in shared memory may
  // still be read, the region is detached: see SharedRegion::Detach.
  absl::Span<const float> values;
};

// Payload bytes and calls, from the start.
struct ClientTraffic {
  int64_t pushed_bytes = 0;
  int64_t pulled_bytes = 0;
  int64_t retries = 0;
};

// Called exactly once for each call, on a thread of the client's, which must
// not be kept long.
using BlockDone = std::function<void(absl::Status)>;
using ViewDone = std::function<void(absl::StatusOr<BlockView>)>;

// Thread-safe. What bounds waits: a call to a server that can be reached lasts
// as long as its step does (the coordinator says when that is over, see
// CancelAll and SetGeneration); a connection on which nothing is heard is given
// up after kKeepaliveInterval + kKeepaliveTimeout (common/rpc/transport.h) and
// made anew, and the calls on it are sent again; a server that cannot be
// reached is given up after `unreachable_after`.
class ParameterClient {
 public:
  // Connects in the background. Codes: INVALID_ARGUMENT for a number of servers
  // that is not the plan's; FAILED_PRECONDITION for kSharedMemory on a system
  // that has none.
  static absl::StatusOr<std::unique_ptr<ParameterClient>> Create(
      const ShardPlan& plan, ParameterClientOptions options);

  // Ends all calls with CANCELLED and waits for their callbacks.
  virtual ~ParameterClient() = default;

  // Pushes a gradient; once its step is complete, writes the block at version
  // step + 1 to `to` (the block's size) and calls `done`. An empty `to` means
  // that the answer's values are not wanted: `done` then comes as soon as the
  // gradient is counted. Codes, besides those of ParameterService: UNAVAILABLE,
  // naming the server, after `unreachable_after`.
  virtual void PushPull(const BlockGradient& gradient, absl::Span<float> to,
                        BlockDone done) = 0;

  // As PushPull, but gives the values where they arrived instead of copying
  // them. The gradient must stay as it is until `done` is called.
  virtual void PushPullView(const BlockGradient& gradient, ViewDone done) = 0;

  // Writes the block at `version` to `to` and calls `done`. Waits for the
  // version if it is the next to come. Codes: as PushPull.
  virtual void Pull(int block, int64_t version, absl::Span<float> to,
                    BlockDone done) = 0;

  // The generation that calls made from now on belong to: GetWorkResponse's; 0,
  // as at first, for none. A call keeps its own however often it is repeated;
  // in another than the server's it ends with ABORTED.
  virtual void SetGeneration(int64_t generation) = 0;

  // Ends all calls under way with CANCELLED and waits for their callbacks;
  // later calls work as before. That is at once, but for a gradient on its way
  // into a connection that takes no more: gRPC lets go of it when the
  // connection is given up for that, after kKeepaliveTimeout.
  virtual void CancelAll() = 0;

  // Ends all calls as CancelAll does. Gradients of later ones are looked for in
  // `region`, which may be null, instead of the region before: for when that
  // one had to be detached. Not while calls are made.
  virtual void UseRegion(std::shared_ptr<SharedRegion> region) = 0;

  // Connects to all servers and waits until each shares memory with this
  // client. Codes, naming the server: FAILED_PRECONDITION when one does not,
  // and why; DEADLINE_EXCEEDED.
  virtual absl::Status AwaitSharedMemory(absl::Duration timeout) = 0;

  virtual ClientTraffic traffic() const = 0;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_CLIENT_PARAMETER_CLIENT_H_
