// The simulation's shards against the real ones: the same calls must get the
// same answers at the same moment, or simulated runs would prove nothing.

#include "tests/simulation/shard_model.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "common/device/make_device.h"
#include "server/shard/shard_store.h"
#include "tests/simulation/random.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"

namespace tessera {
namespace {

// A call's number and the version it got, or -1 for one that is too old.
using Answers = std::vector<std::pair<int, int64_t>>;

class Lockstep {
 public:
  Lockstep(const Job& job, const ShardPlan& plan)
      : plan_(plan),
        device_(*MakeDevice("cpu")),
        model_(
            job, plan, [this](int64_t step) { model_steps_.push_back(step); },
            [](const std::string& what) { FAIL(what); }) {
    for (int shard = 0; shard < plan.shard_count(); ++shard) {
      auto store = ShardStore::Create(job, plan, shard, *device_);
      REQUIRE_OK(store);
      stores_.push_back(*std::move(store));
    }
    stores_[0]->SetStepListener([this](int64_t, int64_t step, double) {
      store_steps_.push_back(step);
    });
  }

  ~Lockstep() {
    for (auto& store : stores_) store->Shutdown();
  }

  void Push(int block, int64_t step, const MicrobatchRange& range) {
    const int call = ++calls_;
    model_.PushPull(block, step, range, ShardModel::SumOf(range),
                    ModelDone(call));
    const std::vector<float> gradient(
        static_cast<size_t>(plan_.BlockElements(block).size()), 0.5f);
    REQUIRE_OK(StoreOf(block).Push(
        {.block = block, .step = step, .range = range, .worker = WorkerId(1)},
        FragmentedBytes::OfFloats(gradient)));
    StoreOf(block).Pull(block, step + 1, StoreDone(call));
    Compare();
  }

  void Pull(int block, int64_t version) {
    const int call = ++calls_;
    model_.Pull(block, version, ModelDone(call));
    StoreOf(block).Pull(block, version, StoreDone(call));
    Compare();
  }

  const ShardModel& model() const { return model_; }
  size_t answers() const { return model_answers_.size(); }

 private:
  ShardStore& StoreOf(int block) {
    return *stores_[static_cast<size_t>(plan_.ShardOfBlock(block))];
  }

  ShardModel::Done ModelDone(int call) {
    return [this, call](const BlockReply& reply) {
      model_answers_.emplace_back(call, reply.too_old ? -1 : reply.version);
    };
  }

  PullCallback StoreDone(int call) {
    return [this, call](absl::StatusOr<BlockVersion> reply) {
      if (absl::IsUnavailable(reply.status())) return;  // The test is over.
      if (!reply.ok()) REQUIRE(absl::IsOutOfRange(reply.status()));
      store_answers_.emplace_back(call, reply.ok() ? reply->version : -1);
    };
  }

  // Those who waited for the same version may be answered in any order.
  void Compare() {
    std::sort(model_answers_.begin(), model_answers_.end());
    std::sort(store_answers_.begin(), store_answers_.end());
    REQUIRE(store_answers_ == model_answers_);
    REQUIRE(store_steps_ == model_steps_);
  }

  const ShardPlan plan_;
  std::unique_ptr<Device> device_;
  Answers model_answers_;
  Answers store_answers_;
  std::vector<int64_t> model_steps_;
  std::vector<int64_t> store_steps_;
  int calls_ = 0;
  ShardModel model_;
  std::vector<std::unique_ptr<ShardStore>> stores_;
};

TEST_CASE("real shards answer as the simulation's do") {
  const auto seed = static_cast<uint64_t>(GENERATE(range(0, 40)));
  INFO("seed " << seed);
  Random random(seed);
  const auto blocks = static_cast<int>(random.Between(1, 4));
  const auto microbatches = static_cast<int>(random.Between(1, 9));
  const Job job =
      MakeTestJob({.parameters = 16 * blocks, .microbatches = microbatches});
  const ShardPlan plan =
      MakeTestPlan(job, static_cast<int>(random.Between(1, blocks)));
  Lockstep lockstep(job, plan);
  for (int i = 0; i < 1500; ++i) {
    const auto block = static_cast<int>(random.Between(0, blocks - 1));
    const int64_t newest = lockstep.model().NewestVersion(block);
    const int64_t oldest = std::max<int64_t>(0, newest - 2);
    if (random.Chance(0.3)) {
      lockstep.Pull(block, random.Between(oldest, newest + 1));
      continue;
    }
    // No worker pushes a step before it holds its version on all blocks.
    const int64_t complete = lockstep.model().CompleteVersion();
    const auto begin = static_cast<int>(random.Between(0, microbatches - 1));
    lockstep.Push(block,
                  random.Chance(0.8)
                      ? complete
                      : random.Between(std::min(oldest, complete), complete),
                  job.tree().LargestNodeAt(
                      begin, microbatches,
                      static_cast<int>(random.Between(1, microbatches))));
  }
  // Too few steps would prove little.
  REQUIRE(lockstep.model().CompleteVersion() >= 3);
  REQUIRE(lockstep.answers() > 100);
}

}  // namespace
}  // namespace tessera
