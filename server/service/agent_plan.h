// What a shard does to be what the coordinator wants it to be: a pure state
// machine, without clock, threads, network or storage.
//
//             Attend's answer                      Attend's request
//                   |                                     ^
//                   v                                     |
//    orders ---> Next() ---> the owner acts ---> On...() -+-> state
//
// Orders are a whole state, and so is what is reported: the plan compares the
// two whenever it is asked, and never counts on having seen every change.

#ifndef TESSERA_SERVER_SERVICE_AGENT_PLAN_H_
#define TESSERA_SERVER_SERVICE_AGENT_PLAN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tessera/v1/checkpoint.pb.h"
#include "tessera/v1/shard.pb.h"

namespace tessera {

// Who attends.
struct AgentIdentity {
  uint64_t job_fingerprint = 0;
  int shard = 0;
  int shard_count = 1;
  // Drawn by each process, never 0.
  uint64_t incarnation = 0;
  // For people: where the server listens.
  std::string address;
};

// What the owner is to do next.
struct NothingToDo {};
// ShardStore::Suspend.
struct SuspendOrder {};
// ShardStore::Restore from that set; from the job's initial state where set_id
// is 0.
struct RestoreOrder {
  int64_t generation = 0;
  int64_t version = 0;
  uint64_t set_id = 0;

  friend bool operator==(const RestoreOrder&, const RestoreOrder&) = default;
};
// ShardStore::Capture, and the file of that set from what it gives.
struct CaptureOrder {
  int64_t generation = 0;
  int64_t version = 0;
  uint64_t set_id = 0;
};
// ShardStore::DropCapture, and an end to the writing of that set's file.
struct DropCaptureOrder {
  uint64_t set_id = 0;
};

using AgentAction = std::variant<NothingToDo, SuspendOrder, RestoreOrder,
                                 CaptureOrder, DropCaptureOrder>;

// Not thread-safe.
class AgentPlan {
 public:
  explicit AgentPlan(AgentIdentity identity) : identity_(std::move(identity)) {}

  // The shard's state, and what was seen of the orders.
  v1::AttendRequest Request(int64_t wait_ms) const;

  // Grows with every change of what Request reports of the shard: a call that
  // waits should then give way to the next.
  int64_t revision() const { return revision_; }

  // Takes an answer.
  void Take(const v1::AttendResponse& orders);

  // The coordinator was out of reach. Another may be there next time: it counts
  // its orders anew, so the next call does not wait for other ones; and it may
  // give this generation another restore point, so until orders come no restore
  // is begun, and one under way is not wanted any more.
  void OnCoordinatorLost();

  // False while a restore is under way that is not wanted: it may yet succeed,
  // and a coordinator that was started anew must not choose a generation before
  // it has heard of that.
  bool MayAttend() const;

  // What to do now. The same again, until the owner says below that it is done
  // or the orders change.
  AgentAction Next() const;

  // Whether an action under way, which may take long, is still wanted; if not,
  // it should be given up, and its end reported all the same.
  bool Wants(const RestoreOrder& order) const;
  bool WantsFile(uint64_t set_id) const;

  // What becomes of the actions: Begun before the store is called, the other
  // after it.
  void OnSuspended();
  void OnRestoreBegun(const RestoreOrder& order);
  void OnRestored(const RestoreOrder& order, const absl::Status& status);
  void OnCaptureBegun(const CaptureOrder& order);
  // From OK on the shard holds on to the version.
  void OnCaptureHeld(uint64_t set_id, const absl::Status& status);
  // How the writing ended. Passed over, as OnCaptureHeld is, when the set is
  // not the one at hand.
  void OnFile(uint64_t set_id, const absl::StatusOr<v1::CheckpointFile>& file);
  void OnCaptureDropped();

 private:
  struct CaptureState {
    int64_t generation = 0;
    uint64_t set_id = 0;
    bool ready = false;
    std::optional<v1::CaptureResult> result;
  };

  void Fail(const RestoreOrder& order, const absl::Status& status);
  // The orders' own.
  RestoreOrder OrderedRestore() const;
  bool HasFailedIn(int64_t generation) const;

  const AgentIdentity identity_;
  // The latest.
  std::optional<v1::AttendResponse> orders_;
  uint64_t orders_seen_ = 0;
  // Whether the orders are from the coordinator that was reached last.
  bool orders_hold_ = false;
  int64_t revision_ = 0;

  // In which the shard is or was last served.
  int64_t generation_ = 0;
  bool serving_ = false;
  // Under way.
  std::optional<RestoreOrder> restore_;
  std::optional<v1::RestoreFailure> restore_failure_;
  std::optional<CaptureState> capture_;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SERVICE_AGENT_PLAN_H_
