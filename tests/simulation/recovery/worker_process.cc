#include "tests/simulation/recovery/worker_process.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"

namespace tessera {
namespace {

constexpr int64_t kRepeatUs = 30'000;
constexpr int64_t kRenewUs = 300'000;

}  // namespace

WorkerProcess::WorkerProcess(Cluster& cluster, int number,
                             int64_t microbatch_us)
    : cluster_(cluster), microbatch_us_(microbatch_us) {
  place = kFirstWorker + number;
}

void WorkerProcess::Later(int64_t delay_us, std::function<void()> event) {
  cluster_.wire.In(Self(), delay_us,
                   [this, era = era_, event = std::move(event)] {
                     if (era == era_) event();
                   });
}

void WorkerProcess::Join() {
  ++era_;
  ++membership_;
  requests_ = 0;
  gives_up_last_ = false;
  cluster_.wire.Call<WorkerId, ServerProcess>(
      Self(), 0, Server(0),
      [](ServerProcess& server, auto done) { server.Join(std::move(done)); },
      [this](absl::StatusOr<WorkerId> id) {
        if (id.ok()) {
          id_ = *id;
          RenewSoon(membership_);
          Ask();
          return;
        }
        const auto server = cluster_.ServerOf(0);
        // The real handler's FAILED_PRECONDITION.
        if (server != nullptr && server->coordinator() != nullptr &&
            server->coordinator()->ended()) {
          ended_ = true;
          return;
        }
        Later(kRepeatUs, [this] { Join(); });
      });
}

void WorkerProcess::RenewSoon(int membership) {
  cluster_.wire.In(Self(), kRenewUs, [this, membership] {
    if (membership != membership_ || ended_) return;
    cluster_.wire.Call<bool, ServerProcess>(
        Self(), 0, Server(0),
        [id = id_, generation = generation_](ServerProcess& server, auto done) {
          server.Renew(id, generation, std::move(done));
        },
        [this, membership](absl::StatusOr<bool> recall) {
          if (membership == membership_) Renewed(recall);
        });
    RenewSoon(membership);
  });
}

void WorkerProcess::Renewed(const absl::StatusOr<bool>& recall) {
  if (absl::IsNotFound(recall.status())) return Join();
  if (recall.ok() && *recall && waits_for_blocks_) GiveUp();
}

void WorkerProcess::GiveUp() {
  gives_up_last_ = true;
  Ask();
}

void WorkerProcess::Ask() {
  ++era_;
  waits_for_blocks_ = false;
  int64_t have = proven_version_;
  for (const auto& [version, blocks] : held_) {
    if (Holds(version)) have = std::max(have, version);
  }
  const WorkReport report{.have_version = have,
                          .microbatch_seconds = measured_seconds_,
                          .gives_up_last = std::exchange(gives_up_last_, false),
                          .request_number = ++requests_,
                          .generation = generation_};
  // Repeated as it is until it is answered.
  auto send = std::make_shared<std::function<void()>>();
  *send = [this, report, era = era_,
           weak = std::weak_ptr<std::function<void()>>(send)] {
    const auto again = weak.lock();
    cluster_.wire.Call<WorkReply, ServerProcess>(
        Self(), 0, Server(0),
        [id = id_, report](ServerProcess& server, auto done) {
          server.GetWork(id, report, std::move(done));
        },
        [this, era, again](absl::StatusOr<WorkReply> reply) {
          if (era != era_) return;
          if (absl::IsUnavailable(reply.status())) {
            return Later(kRepeatUs, [again] { (*again)(); });
          }
          Answered(reply);
        });
  };
  (*send)();
}

void WorkerProcess::Answered(const absl::StatusOr<WorkReply>& reply) {
  if (absl::IsNotFound(reply.status())) return Join();
  if (!reply.ok()) return cluster_.Complain(reply.status().ToString());
  ++era_;
  Enter(reply->generation);
  work_ = reply->grant;
  if (std::holds_alternative<EndGrant>(work_)) {
    ended_ = true;
    return;
  }
  if (std::holds_alternative<NoGrant>(work_)) {
    return Later(kRepeatUs, [this] { GiveUp(); });
  }
  if (generation_ == 0) {
    return cluster_.Complain("work was granted while servers were not ready");
  }
  FetchAll();
}

void WorkerProcess::Enter(int64_t generation) {
  if (generation == generation_) return;
  ++calls_;
  held_.clear();
  proven_version_ = -1;
  generation_ = generation;
}

int64_t WorkerProcess::Version() const {
  const auto* train = std::get_if<TrainGrant>(&work_);
  return train != nullptr ? train->step
                          : std::get<EvaluateGrant>(work_).version;
}

bool WorkerProcess::IsToRepeat(const absl::Status& status, int64_t era) {
  if (absl::IsUnavailable(status)) return true;
  if (absl::IsAborted(status)) {
    if (era == era_ && waits_for_blocks_) GiveUp();
  } else if (absl::IsOutOfRange(status)) {
    if (era == era_ && waits_for_blocks_) FellBehind();
  } else {
    cluster_.Complain(status.ToString());
  }
  return false;
}

void WorkerProcess::FellBehind() {
  proven_version_ = std::max(proven_version_, Version() + 1);
  ++calls_;
  GiveUp();
}

}  // namespace tessera
