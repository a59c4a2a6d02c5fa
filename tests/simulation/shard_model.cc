#include "tests/simulation/shard_model.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/simulation/random.h"

namespace tessera {
namespace {

uint64_t InitialContent(int block) {
  return Mix(static_cast<uint64_t>(block) + 17);
}

uint64_t NextContent(uint64_t content, uint64_t sum) {
  return Mix(content ^ Mix(sum));
}

}  // namespace

ShardModel::ShardModel(const Job& job, const ShardPlan& plan,
                       StepListener on_step, Complain complain)
    : job_(job),
      shard0_blocks_(static_cast<int>(plan.ShardBlocks(0).end)),
      on_step_(std::move(on_step)),
      complain_(std::move(complain)),
      blocks_(static_cast<size_t>(plan.block_count())) {
  for (int b = 0; b < block_count(); ++b) {
    blocks_[static_cast<size_t>(b)].content = InitialContent(b);
  }
}

int64_t ShardModel::NewestVersion(int block) const {
  return blocks_[static_cast<size_t>(block)].newest;
}

int64_t ShardModel::CompleteVersion() const {
  int64_t version = blocks_.front().newest;
  for (const Block& block : blocks_) version = std::min(version, block.newest);
  return version;
}

std::string ShardModel::Describe() const {
  std::string text;
  for (int b = 0; b < block_count(); ++b) {
    const Block& block = blocks_[static_cast<size_t>(b)];
    absl::StrAppend(&text, "block ", b, " at ", block.newest, " has");
    for (const Contribution& c : block.contributions) {
      absl::StrAppend(&text, " ", ToString(c.range));
    }
    absl::StrAppend(&text, "; ");
  }
  return text;
}

bool ShardModel::CompleteOnShard0(int64_t step) const {
  return std::all_of(blocks_.begin(), blocks_.begin() + shard0_blocks_,
                     [step](const Block& b) { return b.newest > step; });
}

void ShardModel::PushPull(int block_index, int64_t step,
                          const MicrobatchRange& range, uint64_t sum,
                          Done done) {
  Block& block = blocks_[static_cast<size_t>(block_index)];
  if (!job_.tree().IsNode(range)) {
    complain_(absl::StrCat("pushed ", ToString(range), ", which is no node"));
  }
  if (step > CompleteVersion()) {
    complain_(absl::StrCat("pushed step ", step, " before version ", step,
                           " was there on all blocks"));
    return;
  }
  if (step == block.newest) {
    // Its sender held every block at this version.
    block.holds_older = false;
    AddContribution(block, range, sum);
    if (block.newest > step && block_index < shard0_blocks_ &&
        CompleteOnShard0(step)) {
      on_step_(step);
    }
  }
  Pull(block_index, step + 1, std::move(done));
}

void ShardModel::AddContribution(Block& block, const MicrobatchRange& range,
                                 uint64_t sum) {
  auto& held = block.contributions;
  for (const Contribution& c : held) {
    if (c.range.Contains(range)) return;
  }
  std::erase_if(held,
                [&](const Contribution& c) { return range.Contains(c.range); });
  held.push_back({range, sum});
  int microbatches = 0;
  for (const Contribution& c : held) microbatches += c.range.size();
  if (microbatches >= job_.microbatches()) CompleteStep(block);
}

void ShardModel::CompleteStep(Block& block) {
  uint64_t sum = 0;
  for (const Contribution& c : block.contributions) sum += c.sum;
  const uint64_t expected = SumOf(job_.tree().root());
  if (sum != expected) {
    complain_(absl::StrCat("step ", block.newest, " summed up to ", sum,
                           " where every microbatch once is ", expected));
  }
  block.contributions.clear();
  block.older_content = block.content;
  block.content = NextContent(block.content, sum);
  block.holds_older = true;
  ++block.newest;
  std::vector<Waiter> waiters = std::exchange(block.waiters, {});
  for (Waiter& waiter : waiters) {
    if (waiter.version == block.newest) {
      waiter.done({.version = block.newest, .content = block.content});
    } else {
      block.waiters.push_back(std::move(waiter));
    }
  }
}

void ShardModel::Pull(int block_index, int64_t version, Done done) {
  Block& block = blocks_[static_cast<size_t>(block_index)];
  if (version == block.newest) {
    done({.version = version, .content = block.content});
  } else if (version == block.newest - 1 && block.holds_older) {
    done({.version = version, .content = block.older_content});
  } else if (version == block.newest + 1) {
    block.waiters.push_back({version, std::move(done)});
  } else if (version < block.newest) {
    done({.too_old = true, .version = version});
  } else {
    complain_(absl::StrCat("asked for version ", version, " of block ",
                           block_index, ", which is at ", block.newest));
  }
}

uint64_t ShardModel::Content(const Job& job, int block, int64_t version) {
  uint64_t content = InitialContent(block);
  for (int64_t v = 0; v < version; ++v) {
    content = NextContent(content, SumOf(job.tree().root()));
  }
  return content;
}

uint64_t ShardModel::SumOf(const MicrobatchRange& range) {
  return ((uint64_t{1} << range.size()) - 1) << range.begin;
}

}  // namespace tessera
