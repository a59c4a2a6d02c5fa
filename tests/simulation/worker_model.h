// A worker process as the coordinator and the shards see it: the rules of
// worker/train/, without the arithmetic. It can be slow, stall, crash and leave
// at any moment.

#ifndef TESSERA_TESTS_SIMULATION_WORKER_MODEL_H_
#define TESSERA_TESTS_SIMULATION_WORKER_MODEL_H_

#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/strong_id.h"
#include "server/coordinator/coordinator.h"
#include "tests/simulation/board_model.h"
#include "tests/simulation/world.h"

namespace tessera {

// Not thread-safe. Stays alive as long as the world's queue is run.
class WorkerModel {
 public:
  WorkerModel(int number, int64_t microbatch_us, World& world);

  // A new process, which joins the job.
  void Start();
  // The process is gone, with all it knew. What it sent is under way.
  void Crash();
  // As Crash, but it says good-bye.
  void Leave();
  // Nothing happens in this process for so long.
  void StallFor(int64_t duration_us);
  void SetSpeed(int64_t microbatch_us) { microbatch_us_ = microbatch_us; }

  bool running() const { return running_; }
  // It was told that the job has ended.
  bool done() const { return done_; }
  WorkerId id() const { return id_; }
  std::string Describe() const;

 private:
  enum class Doing { kAsking, kWaiting, kComputing, kReporting };
  // What an event belongs to: it is dropped when that is over. Each is part of
  // the one before.
  struct Era {
    int process = 0;
    int membership = 0;
    int work = 0;
    bool operator==(const Era&) const = default;
  };

  // Runs `event` unless the process, membership or piece of work at hand is
  // over by then; not while stalled.
  void Later(int64_t delay_us, std::function<void()> event);
  void InEra(const Era& era, std::function<void()> event);
  std::function<bool()> StillMember() const;
  bool IsMembership(const Era& era) const;
  template <typename Reply>
  void CallCoordinator(std::function<Reply()> serve,
                       std::function<void(const Reply&)> receive);

  void Join();
  void Joined(WorkerId id);
  void End();
  void RenewSoon();
  void Renew();
  void Recall();

  void Ask();
  void Answered(const absl::StatusOr<Grant>& grant);
  void Begin(Doing doing);
  // Gives up the piece of work at hand.
  void Drop();

  int64_t WorkVersion() const;
  void FetchFrom(int block);
  void Pull(int block);
  void BlockCame(int block, int64_t version, const BlockReply& reply);
  void FellBehind();
  void LookWhetherComplete();
  void Compute();
  void PushFrom(int block, int64_t pause_us);
  void Push(int block, bool wanted);
  void Score();

  const int number_;
  World& world_;
  int64_t microbatch_us_;

  bool running_ = false;
  bool done_ = false;
  Era era_;
  int block_calls_ = 0;  // Counts up when all of them are cancelled.
  int64_t stalled_until_us_ = 0;

  // Outlives a membership.
  BoardModel board_;
  // Of one membership.
  WorkerId id_;
  int64_t proven_version_ = -1;
  double measured_seconds_ = 0;
  bool gives_up_last_ = false;
  uint64_t requests_ = 0;

  Doing doing_ = Doing::kAsking;
  std::variant<TrainGrant, EvaluateGrant> work_;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_SIMULATION_WORKER_MODEL_H_
