#include "tests/simulation/worker_model.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tessera {
namespace {

constexpr int64_t kWorkWaitUs = 100'000;
constexpr int64_t kBusySlotUs = 1'000;
constexpr int64_t kResetPauseUs = 20'000;

}  // namespace

WorkerModel::WorkerModel(int number, int64_t microbatch_us, World& world)
    : number_(number),
      world_(world),
      microbatch_us_(microbatch_us),
      board_(world.shards.block_count()) {}

void WorkerModel::Start() {
  Crash();
  running_ = true;
  board_ = BoardModel(world_.shards.block_count());
  stalled_until_us_ = 0;
  Join();
}

void WorkerModel::Crash() {
  running_ = false;
  ++era_.process;
  ++block_calls_;
}

void WorkerModel::Leave() {
  world_.Note(number_, "leaves");
  const WorkerId id = id_;
  world_.network.Call<bool>([] { return true; },
                            [this, id](auto answer) {
                              world_.coordinator->Leave(id, world_.queue.now());
                              answer(true);
                            },
                            [](const bool&) {});
  Crash();
}

void WorkerModel::StallFor(int64_t duration_us) {
  world_.Note(number_, "stalls", duration_us);
  stalled_until_us_ = world_.queue.now_us() + duration_us;
}

std::string WorkerModel::Describe() const {
  return absl::StrCat(
      "worker ", number_, " (id ", id_.value(), ")",
      !running_ ? " is not running"
      : done_
          ? " is done"
          : absl::StrCat(" is doing ", static_cast<int>(doing_), " at version ",
                         WorkVersion(), ", holds ", board_.CompleteVersion()));
}

void WorkerModel::Later(int64_t delay_us, std::function<void()> event) {
  world_.queue.After(delay_us, [this, era = era_, event = std::move(event)] {
    InEra(era, event);
  });
}

void WorkerModel::InEra(const Era& era, std::function<void()> event) {
  if (era != era_ || !running_) return;
  const int64_t stalled_us = stalled_until_us_ - world_.queue.now_us();
  if (stalled_us > 0) {
    world_.queue.After(stalled_us, [this, era, event = std::move(event)] {
      InEra(era, event);
    });
    return;
  }
  event();
}

bool WorkerModel::IsMembership(const Era& era) const {
  return running_ && era.process == era_.process &&
         era.membership == era_.membership;
}

std::function<bool()> WorkerModel::StillMember() const {
  return [this, era = era_] { return IsMembership(era); };
}

template <typename Reply>
void WorkerModel::CallCoordinator(std::function<Reply()> serve,
                                  std::function<void(const Reply&)> receive) {
  world_.network.Call<Reply>(
      StillMember(), [serve](auto answer) { answer(serve()); },
      [this, receive = std::move(receive), era = era_](const Reply& reply) {
        InEra(era, [receive, reply] { receive(reply); });
      });
}

void WorkerModel::Join() {
  ++era_.membership;
  ++era_.work;
  ++block_calls_;
  board_.Reset();
  CallCoordinator<absl::StatusOr<WorkerId>>(
      [this] {
        return world_.coordinator->Join(absl::StrCat("worker ", number_),
                                        world_.queue.now());
      },
      [this](const absl::StatusOr<WorkerId>& id) {
        id.ok() ? Joined(*id) : End();
      });
}

void WorkerModel::Joined(WorkerId id) {
  world_.Note(number_, "joined as", id.value());
  id_ = id;
  proven_version_ = -1;
  measured_seconds_ = 0;
  gives_up_last_ = false;
  requests_ = 0;
  RenewSoon();
  Ask();
}

void WorkerModel::End() {
  done_ = true;
  ++era_.membership;
  ++era_.work;
}

void WorkerModel::RenewSoon() {
  // Its own thread: not bound to the work at hand.
  world_.queue.After(absl::ToInt64Microseconds(world_.lease) / 3,
                     [this, era = era_] {
                       if (!IsMembership(era)) return;
                       if (stalled_until_us_ > world_.queue.now_us()) {
                         RenewSoon();
                       } else {
                         Renew();
                       }
                     });
}

void WorkerModel::Renew() {
  world_.network.Call<absl::StatusOr<bool>>(
      StillMember(),
      [this, id = id_](auto answer) {
        answer(world_.coordinator->Renew(id, /*generation=*/0,
                                         world_.queue.now()));
      },
      [this](const absl::StatusOr<bool>& recall) {
        if (stalled_until_us_ > world_.queue.now_us()) {
          RenewSoon();
          return;
        }
        if (!recall.ok()) {
          Join();
          return;
        }
        if (*recall) Recall();
        RenewSoon();
      });
}

void WorkerModel::Recall() {
  // A pass under way notices at its next wait, or is over before.
  const bool notices =
      doing_ == Doing::kWaiting ||
      (doing_ == Doing::kComputing && world_.random.Chance(0.5));
  if (!notices) return;
  world_.Note(number_, "is called back from", WorkVersion());
  Drop();
  Ask();
}

void WorkerModel::Begin(Doing doing) {
  ++era_.work;
  doing_ = doing;
}

void WorkerModel::Drop() {
  Begin(Doing::kAsking);
  gives_up_last_ = true;
}

void WorkerModel::Ask() {
  Begin(Doing::kAsking);
  const WorkReport report{
      .have_version = std::max(proven_version_, board_.CompleteVersion()),
      .microbatch_seconds = measured_seconds_,
      .gives_up_last = std::exchange(gives_up_last_, false),
      .request_number = ++requests_};
  world_.network.Call<absl::StatusOr<Grant>>(
      StillMember(),
      [this, report, id = id_](auto answer) {
        world_.GetWork(number_, id, report, kWorkWaitUs, answer);
      },
      [this, era = era_](const absl::StatusOr<Grant>& grant) {
        InEra(era, [this, grant] { Answered(grant); });
      });
}

void WorkerModel::Answered(const absl::StatusOr<Grant>& grant) {
  if (!grant.ok()) {
    Join();
  } else if (std::holds_alternative<EndGrant>(*grant)) {
    End();
  } else if (std::holds_alternative<NoGrant>(*grant)) {
    gives_up_last_ = true;
    Ask();
  } else {
    if (const auto* train = std::get_if<TrainGrant>(&*grant)) work_ = *train;
    if (const auto* e = std::get_if<EvaluateGrant>(&*grant)) work_ = *e;
    Begin(Doing::kWaiting);
    FetchFrom(0);
  }
}

int64_t WorkerModel::WorkVersion() const {
  const auto* train = std::get_if<TrainGrant>(&work_);
  return train ? train->step : std::get<EvaluateGrant>(work_).version;
}

void WorkerModel::FetchFrom(int block) {
  const int64_t version = WorkVersion();
  for (; block < world_.shards.block_count(); ++block) {
    switch (board_.Begin(block, version)) {
      case BoardModel::Begun::kFetch:
        Pull(block);
        break;
      case BoardModel::Begun::kNotNeeded:
        break;
      case BoardModel::Begun::kBusy:
        Later(kBusySlotUs, [this, block] { FetchFrom(block); });
        return;
    }
  }
  LookWhetherComplete();
}

void WorkerModel::Pull(int block) {
  const int64_t version = WorkVersion();
  world_.network.Call<BlockReply>(
      [this, member = StillMember(), calls = block_calls_] {
        return member() && calls == block_calls_;
      },
      [this, block, version](auto answer) {
        world_.shards.Pull(block, version, answer);
      },
      [this, block, version](const BlockReply& reply) {
        BlockCame(block, version, reply);
      });
}

void WorkerModel::BlockCame(int block, int64_t version,
                            const BlockReply& reply) {
  if (!reply.too_old) {
    board_.Arrived(block, version, reply.content);
    if (doing_ == Doing::kWaiting) {
      Later(0, [this] { LookWhetherComplete(); });
    }
    return;
  }
  board_.Failed(block, version);
  const bool concerns_pass =
      (doing_ == Doing::kWaiting || doing_ == Doing::kComputing) &&
      version >= WorkVersion();
  if (concerns_pass) Later(0, [this] { FellBehind(); });
}

void WorkerModel::FellBehind() {
  world_.Note(number_, "fell behind at", WorkVersion());
  // A version is let go when the next one is complete on all shards.
  proven_version_ = std::max(proven_version_, WorkVersion() + 1);
  Drop();
  ++block_calls_;
  board_.Reset();
  Later(kResetPauseUs, [this] { Ask(); });
}

void WorkerModel::LookWhetherComplete() {
  if (doing_ != Doing::kWaiting || !board_.Complete(WorkVersion())) return;
  Compute();
}

void WorkerModel::Compute() {
  Begin(Doing::kComputing);
  const auto* train = std::get_if<TrainGrant>(&work_);
  const double jitter = 0.8 + 0.4 * world_.random.Unit();
  const auto unit_us =
      static_cast<int64_t>(static_cast<double>(microbatch_us_) * jitter) + 1;
  if (train == nullptr) {
    const auto& evaluate = std::get<EvaluateGrant>(work_);
    Later(unit_us * (evaluate.chunk_end - evaluate.chunk_begin),
          [this] { Score(); });
    return;
  }
  measured_seconds_ = static_cast<double>(unit_us) * 1e-6;
  // The last third of the time, blocks leave one by one, the last block first.
  const int blocks = world_.shards.block_count();
  const int64_t total_us = unit_us * train->range.size();
  Later(total_us * 2 / 3, [this, blocks, total_us] {
    PushFrom(blocks - 1, total_us / 3 / blocks);
  });
}

void WorkerModel::PushFrom(int block, int64_t pause_us) {
  const int64_t next = std::get<TrainGrant>(work_).step + 1;
  const BoardModel::Begun begun = board_.Begin(block, next);
  if (begun == BoardModel::Begun::kBusy) {
    Later(kBusySlotUs, [=, this] { PushFrom(block, pause_us); });
    return;
  }
  Push(block, begun == BoardModel::Begun::kFetch);
  if (block == 0) {
    Ask();
  } else {
    Later(pause_us, [=, this] { PushFrom(block - 1, pause_us); });
  }
}

void WorkerModel::Push(int block, bool wanted) {
  const TrainGrant work = std::get<TrainGrant>(work_);
  world_.network.Call<BlockReply>(
      [this, member = StillMember(), calls = block_calls_] {
        return member() && calls == block_calls_;
      },
      [this, block, work](auto answer) {
        world_.shards.PushPull(block, work.step, work.range,
                               ShardModel::SumOf(work.range), answer);
      },
      [this, block, wanted, work](const BlockReply& reply) {
        if (wanted) BlockCame(block, work.step + 1, reply);
      });
}

void WorkerModel::Score() {
  Begin(Doing::kReporting);
  const EvaluateGrant work = std::get<EvaluateGrant>(work_);
  std::vector<uint64_t> contents;
  for (int block = 0; block < world_.shards.block_count(); ++block) {
    contents.push_back(board_.Content(block, work.version));
  }
  std::vector<ChunkScore> scores;
  for (int chunk = work.chunk_begin; chunk < work.chunk_end; ++chunk) {
    scores.push_back(ScoreOf(world_.job, work.version, chunk, contents));
  }
  CallCoordinator<absl::Status>(
      [this, work, scores, id = id_] {
        return world_.Report(number_, id, work, scores);
      },
      [this](const absl::Status& status) {
        if (status.ok()) {
          Ask();
        } else if (absl::IsNotFound(status)) {
          Join();
        } else {
          world_.Complain(std::string(status.message()));
        }
      });
}

}  // namespace tessera
