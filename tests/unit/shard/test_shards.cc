#include "tests/unit/shard/test_shards.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/base/philox.h"
#include "common/device/make_device.h"
#include "common/tensor/bfloat16.h"
#include "tests/support/status.h"
#include "tests/unit/shard/test_device.h"

namespace tessera {

TestShards::TestShards(Job job, const ShardPlan& plan,
                       std::optional<std::vector<float>> initial)
    : job_(std::move(job)),
      plan_(plan),
      device_(*MakeDevice(kShardTestDevice)) {
  ShardStore::ParameterSource source;
  if (initial.has_value()) {
    source = [initial = *std::move(initial)](int64_t first,
                                             absl::Span<float> values) {
      std::copy_n(initial.begin() + first, values.size(), values.begin());
    };
  }
  for (int shard = 0; shard < plan.shard_count(); ++shard) {
    auto store = ShardStore::Create(job_, plan_, shard, *device_, source);
    REQUIRE_OK(store);
    stores_.push_back(*std::move(store));
  }
}

absl::StatusOr<PushResult> TestShards::Push(int block, int64_t step,
                                            const MicrobatchRange& range,
                                            const std::vector<float>& gradient,
                                            double loss_sum) {
  const Interval piece = plan_.BlockElements(block);
  const absl::Span<const float> values = absl::MakeConstSpan(gradient).subspan(
      static_cast<size_t>(piece.begin), static_cast<size_t>(piece.size()));
  FragmentedBytes payload = FragmentedBytes::OfFloats(values);
  std::vector<uint8_t> rounded;
  if (job_.push_encoding() == v1::ENCODING_BFLOAT16) {
    rounded.resize(values.size() * kBfloat16Bytes);
    RoundToBfloat16(values, rounded.data());
    payload = FragmentedBytes(rounded);
  }
  return store_of(block).Push({.block = block,
                               .step = step,
                               .range = range,
                               .worker = WorkerId(1),
                               .loss_sum = loss_sum},
                              payload);
}

void TestShards::PushAll(int64_t step, const MicrobatchRange& range,
                         const std::vector<float>& gradient, double loss_sum) {
  for (int block = 0; block < plan_.block_count(); ++block) {
    REQUIRE_OK(Push(block, step, range, gradient, loss_sum));
  }
}

std::vector<float> TestShards::Parameters() {
  std::vector<float> parameters;
  for (int block = 0; block < plan_.block_count(); ++block) {
    const auto version = PullNow(store_of(block), block);
    REQUIRE_OK(version);
    parameters.insert(parameters.end(), version->values.begin(),
                      version->values.end());
  }
  return parameters;
}

std::vector<uint64_t> TestShards::StateHashes() const {
  std::vector<uint64_t> hashes;
  for (const auto& store : stores_) hashes.push_back(store->StateHash());
  return hashes;
}

absl::StatusOr<BlockVersion> PullNow(ShardStore& store, int block,
                                     int64_t version) {
  std::optional<absl::StatusOr<BlockVersion>> answer;
  const uint64_t ticket = store.Pull(
      block, version, [&answer](auto result) { answer = std::move(result); });
  store.Cancel(block, ticket);
  REQUIRE(answer.has_value());
  return *std::move(answer);
}

std::vector<float> TestGradient(int64_t step, int microbatch,
                                int64_t elements) {
  const Philox random(static_cast<uint64_t>(step) + 77,
                      RandomStream::kGeneratedData,
                      static_cast<uint32_t>(microbatch));
  std::vector<float> values;
  for (int64_t i = 0; i < elements; ++i) {
    const auto words = random.Words(static_cast<uint64_t>(i));
    const float u = static_cast<float>(words[0] >> 8) * 0x1p-24f - 0.5f;
    values.push_back(std::ldexp(u, static_cast<int>(words[1] % 12)));
  }
  return values;
}

std::vector<float> TreeSum(const ReductionTree& tree, int64_t step,
                           const MicrobatchRange& node, int64_t elements) {
  const auto children = tree.Children(node);
  if (!children) return TestGradient(step, node.begin, elements);
  std::vector<float> sum = TreeSum(tree, step, children->first, elements);
  const std::vector<float> right =
      TreeSum(tree, step, children->second, elements);
  for (size_t i = 0; i < sum.size(); ++i) sum[i] = sum[i] + right[i];
  return sum;
}

CutBytes::CutBytes(const std::vector<float>& values, std::mt19937_64& random) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(values.data());
  const size_t total = values.size() * sizeof(float);
  size_t begin = 0;
  while (begin < total) {
    const size_t length = std::min<size_t>(total - begin, 1 + random() % 23);
    pieces_.emplace_back(bytes + begin, bytes + begin + length);
    begin += length;
  }
  for (const auto& piece : pieces_) bytes_.Append(piece);
}

}  // namespace tessera
