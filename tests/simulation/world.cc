#include "tests/simulation/world.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tessera {
namespace {

// Between looks for work while a request waits on the server.
constexpr int64_t kLookUs = 5'000;
// Shard 0's news may be that late.
constexpr int64_t kNewsDelayUsMax = 50'000;

void NoteGrant(World& world, int who, const Grant& grant) {
  if (const auto* train = std::get_if<TrainGrant>(&grant)) {
    world.Note(who, "gets step", train->step, train->range.begin,
               train->range.end);
  } else if (const auto* evaluate = std::get_if<EvaluateGrant>(&grant)) {
    world.Note(who, "gets evaluation of", evaluate->version,
               evaluate->chunk_begin, evaluate->chunk_end);
  } else if (const auto* end = std::get_if<EndGrant>(&grant)) {
    world.Note(who, "is told of the end", static_cast<int>(end->reason));
  }
}

}  // namespace

ChunkScore ScoreOf(const Job& job, int64_t version, int chunk,
                   const std::vector<uint64_t>& contents) {
  uint64_t digest = static_cast<uint64_t>(chunk);
  for (uint64_t content : contents) digest = Mix(digest ^ content);
  const int64_t samples = std::min<int64_t>(
      job.chunk_examples(), job.proto().data_set().test_examples() -
                                int64_t{chunk} * job.chunk_examples());
  const double noise = 0.9 + 0.2 * static_cast<double>(digest >> 11) * 0x1p-53;
  const double loss = noise / (1 + 0.2 * static_cast<double>(version));
  return {.loss_sum = static_cast<double>(samples) * loss,
          .correct = static_cast<int64_t>(digest % 1000) * samples / 1000};
}

double StepLoss(int64_t step) { return 1.0 / static_cast<double>(step + 3); }

World::World(const Job& j, const ShardPlan& p, absl::Duration l, uint64_t seed,
             bool keep_trace)
    : job(j),
      plan(p),
      lease(l),
      trace(keep_trace),
      random(seed),
      network(queue, random),
      coordinator(Coordinator::Create(
          job, {.lease = l, .shard_count = p.shard_count()})),
      shards(
          job, plan,
          [this](int64_t step) {
            Note(-1, "shard 0 applied step", step);
            // News may be late, but comes in order.
            news_us_ = std::max(
                news_us_, queue.now_us() + random.Between(0, kNewsDelayUsMax));
            queue.After(news_us_ - queue.now_us(), [this, step] {
              coordinator->OnStepApplied(0, step, StepLoss(step), queue.now());
            });
          },
          [this](const std::string& what) { Complain(what); }) {}

void World::Complain(const std::string& what) {
  Note(-1, absl::StrCat("BROKEN: ", what));
  if (complaint_.empty()) complaint_ = what;
}

void World::GetWork(int who, WorkerId id, const WorkReport& report,
                    int64_t wait_us,
                    std::function<void(absl::StatusOr<Grant>)> answer) {
  const auto grant = coordinator->GetWork(id, report, queue.now());
  if (grant.ok() && std::holds_alternative<NoGrant>(*grant) && wait_us > 0) {
    queue.After(kLookUs, [=, this, answer = std::move(answer)] {
      GetWork(who, id, report, wait_us - kLookUs, answer);
    });
    return;
  }
  if (grant.ok()) {
    NoteGrant(*this, who, *grant);
    CheckGrant(*grant);
  }
  answer(grant);
}

absl::Status World::Report(int who, WorkerId id, const EvaluateGrant& work,
                           const std::vector<ChunkScore>& scores) {
  absl::Status status =
      coordinator->ReportEvaluation(id, /*generation=*/0, work.version,
                                    work.chunk_begin, scores, queue.now());
  Note(who, "scored", work.version, work.chunk_begin, work.chunk_end,
       static_cast<int>(status.code()));
  if (!status.ok()) return status;
  for (int chunk = work.chunk_begin; chunk < work.chunk_end; ++chunk) {
    scored_[work.version].insert(chunk);
  }
  return status;
}

void World::CheckGrant(const Grant& grant) {
  if (const auto* train = std::get_if<TrainGrant>(&grant)) {
    CheckTrainGrant(*train);
  } else if (const auto* evaluate = std::get_if<EvaluateGrant>(&grant)) {
    CheckEvaluateGrant(*evaluate);
  }
}

void World::CheckTrainGrant(const TrainGrant& grant) {
  if (!job.tree().IsNode(grant.range)) {
    Complain(absl::StrCat("granted ", ToString(grant.range), ": no node"));
  }
  if (grant.step >= job.max_steps()) {
    Complain(absl::StrCat("granted step ", grant.step, " beyond the last"));
  }
  if (grant.step > shards.CompleteVersion() + 1) {
    Complain(absl::StrCat("granted step ", grant.step, " while version ",
                          shards.CompleteVersion(), " is the newest"));
  }
  for (int64_t v = job.evaluation_interval(); v <= grant.step;
       v += job.evaluation_interval()) {
    if (!IsScored(v)) {
      Complain(absl::StrCat("granted step ", grant.step, " before version ", v,
                            " was evaluated"));
    }
  }
}

void World::CheckEvaluateGrant(const EvaluateGrant& grant) {
  if (grant.version > shards.CompleteVersion() + 1) {
    Complain(absl::StrCat("granted the evaluation of ", grant.version,
                          " while version ", shards.CompleteVersion(),
                          " is the newest"));
  }
  if (grant.chunk_begin < 0 || grant.chunk_begin >= grant.chunk_end ||
      grant.chunk_end > job.evaluation_chunks()) {
    Complain("granted chunks that there are not");
  }
}

bool World::IsScored(int64_t version) const {
  const auto found = scored_.find(version);
  return found != scored_.end() &&
         static_cast<int>(found->second.size()) == job.evaluation_chunks();
}

}  // namespace tessera
