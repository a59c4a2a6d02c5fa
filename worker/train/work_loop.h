// One membership of a worker, from Join to the job's end or the membership's:
// asks for work and does it, in the generation that the answer names.
//
// What ends a piece of work, and what follows:
//   ABORTED       a recall, or a server in another generation      ask again
//   OUT_OF_RANGE  others have gone beyond it                       ask again
//   NOT_FOUND     the lease ran out, or the coordinator is
//                 another process and knows nobody yet             join again
//   CANCELLED     the worker was told to stop                      end
//   others                                                         fail
// A server that is away ends nothing for as long as the clients wait for it.

#ifndef TESSERA_WORKER_TRAIN_WORK_LOOP_H_
#define TESSERA_WORKER_TRAIN_WORK_LOOP_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/strong_id.h"
#include "common/trace/trace.h"
#include "tessera/v1/coordinator.pb.h"
#include "worker/client/coordinator_client.h"
#include "worker/client/parameter_client.h"
#include "worker/model/network.h"
#include "worker/train/lease_keeper.h"
#include "worker/train/range_worker.h"
#include "worker/train/workshop.h"

namespace tessera {

// For one thread; another may stop the shop's board.
class WorkLoop {
 public:
  // All but `client` and `network` are borrowed and must outlive the object.
  // `client` uses the shop's region. `tracer` may be null.
  WorkLoop(CoordinatorClient& coordinator, Workshop& shop,
           std::unique_ptr<ParameterClient> client,
           std::unique_ptr<Network> network, const v1::JoinResponse& joined,
           Tracer* tracer);

  // Leaves the board without a fetch or a failure.
  ~WorkLoop();

  // Codes: OK when the job ended; NOT_FOUND when the membership did (join
  // again); anything else is final.
  absl::Status Run();

  const TrainTimes& times() const { return range_worker_.times(); }
  ClientTraffic traffic() const { return client_->traffic(); }

 private:
  absl::StatusOr<v1::GetWorkResponse> AskForWork();
  // The generation of the work to come. What was begun and is held in another
  // is worth nothing: the servers may have gone back.
  absl::Status Enter(int64_t generation);
  absl::Status Do(const v1::GetWorkResponse& work);
  absl::Status Evaluate(const v1::EvaluateWork& work);
  // Sorts out what ended a piece of work: OK when there is just more to ask
  // for.
  absl::Status Recover(const absl::Status& status,
                       const v1::GetWorkResponse& work);
  // Ends all calls. Gradients that servers may still read then lie in memory
  // that is shared no more; what comes is to be shared again.
  absl::Status EndCalls();
  double MicrobatchSeconds() const;

  Tracer* const tracer_;
  CoordinatorClient& coordinator_;
  Workshop& shop_;
  const WorkerId worker_;
  const std::unique_ptr<ParameterClient> client_;
  RangeWorker range_worker_;
  std::optional<LeaseKeeper> keeper_;
  int64_t proven_version_ = -1;
  bool gives_up_last_ = false;
  uint64_t requests_ = 0;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_TRAIN_WORK_LOOP_H_
