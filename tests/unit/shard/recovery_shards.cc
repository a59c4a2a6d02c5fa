#include "tests/unit/shard/recovery_shards.h"

#include <algorithm>
#include <memory>

#include "tests/support/status.h"

namespace tessera {

void Train(TestShards& shards, int64_t from, int64_t to) {
  const ReductionTree& tree = shards.job().tree();
  for (int64_t step = from; step < to; ++step) {
    shards.PushAll(step, tree.root(),
                   TreeSum(tree, step, tree.root(), shards.plan().elements()));
  }
}

Sections CaptureAll(TestShards& shards, int64_t generation, int64_t version,
                    int sections) {
  Sections all(static_cast<size_t>(sections));
  for (int shard = 0; shard < shards.plan().shard_count(); ++shard) {
    std::shared_ptr<ShardSnapshot> snapshot;
    REQUIRE_OK(
        shards.store(shard).Capture(generation, version, [&](auto captured) {
          REQUIRE_OK(captured);
          snapshot = *std::move(captured);
        }));
    REQUIRE(snapshot != nullptr);
    REQUIRE(snapshot->version() == version);
    REQUIRE(snapshot->elements() == shards.plan().ShardElements(shard));
    const Sections part = ReadAll(*snapshot, sections);
    for (size_t i = 0; i < all.size(); ++i) {
      all[i].insert(all[i].end(), part[i].begin(), part[i].end());
    }
  }
  return all;
}

Sections ReadAll(ShardSnapshot& snapshot, int sections) {
  Sections all;
  for (int section = 0; section < sections; ++section) {
    std::vector<float>& values =
        all.emplace_back(static_cast<size_t>(snapshot.elements().size()));
    REQUIRE_OK(
        snapshot.Read(section, snapshot.elements(), absl::MakeSpan(values)));
  }
  return all;
}

ShardStore::SectionSource From(const Sections& sections) {
  return [&sections](int section, int64_t first, absl::Span<float> values) {
    const auto& from = sections.at(static_cast<size_t>(section));
    std::copy_n(from.begin() + first, values.size(), values.begin());
    return absl::OkStatus();
  };
}

void RestoreAll(TestShards& shards, int64_t generation, int64_t version,
                const ShardStore::SectionSource& source) {
  for (int shard = 0; shard < shards.plan().shard_count(); ++shard) {
    REQUIRE_OK(shards.store(shard).Restore(generation, version, source));
  }
}

absl::StatusOr<PushResult> Push(TestShards& shards, const PlainPush& push) {
  const std::vector<float> gradient(16, push.value);
  return shards.store(0).Push({.block = 0,
                               .step = push.step,
                               .range = push.range,
                               .worker = WorkerId(push.worker),
                               .generation = push.generation},
                              FragmentedBytes::OfFloats(gradient));
}

}  // namespace tessera
