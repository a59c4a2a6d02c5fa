// The driver, on channels that do as they are told.

#include "worker/bench/pipeline.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <deque>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "tests/support/command.h"
#include "tests/support/status.h"

namespace tessera::bench {
namespace {

constexpr int kBlocks = 5;
constexpr int64_t kElements = kBlocks * 16;

ShardPlan SmallPlan() { return ShardPlan::Create(kElements, 1, 64).value(); }

// Answers, on the driving thread, in an order that a test chooses. Holds
// parameters like a server for one worker.
class FakeChannel : public BlockChannel {
 public:
  explicit FakeChannel(const ShardPlan& plan)
      : plan_(plan), x_(kElements), versions_(kBlocks) {}

  void Start(const BlockCall& call, CallDone done) override {
    started.push_back(call);
    calls_.push_back({call, std::move(done)});
    most_in_flight = std::max(most_in_flight, calls_.size());
  }

  void Drive(Signal& until) override {
    while (!until.IsSet()) {
      TESSERA_CHECK(!calls_.empty());
      // The newest first: as bad an order as any.
      auto [call, done] = std::move(calls_.back());
      calls_.pop_back();
      if (static_cast<int>(started.size()) >= fail_at) {
        done(absl::AbortedError("as the test wants"));
        continue;
      }
      done(Answer(call));
    }
  }

  std::vector<BlockCall> started;
  size_t most_in_flight = 0;
  int fail_at = 1 << 30;
  int corrupt_block = -1;

 private:
  absl::Span<const float> Answer(const BlockCall& call) {
    const Interval elements = plan_.BlockElements(call.block);
    int64_t& version = versions_[static_cast<size_t>(call.block)];
    const auto x = absl::MakeSpan(x_).subspan(
        static_cast<size_t>(elements.begin), call.gradient.size());
    if (!call.gradient.empty()) {
      TESSERA_CHECK(call.step == version);
      ++version;
      for (size_t i = 0; i < x.size(); ++i) x[i] -= call.gradient[i];
    } else {
      TESSERA_CHECK(call.step == version);
    }
    std::copy_n(x_.begin() + elements.begin, call.to.size(), call.to.begin());
    if (call.block == corrupt_block) {
      for (float& value : call.to) value += 1;
    }
    return call.to;
  }

  const ShardPlan plan_;
  std::vector<float> x_;
  std::vector<int64_t> versions_;
  std::deque<std::pair<BlockCall, CallDone>> calls_;
};

// One worker of some.
struct Bench {
  explicit Bench(int workers = 1, int worker = 0, std::string board_file = "")
      : plan(SmallPlan()),
        form(workers, 1, v1::ENCODING_FLOAT32),
        gradient(kElements),
        values(kElements),
        channel(plan) {
    if (board_file.empty()) {
      board_file = absl::StrCat(NewScratchFolder(), "/board");
      REQUIRE_OK(StepBoard::Create(board_file, workers, kBlocks));
    }
    board = StepBoard::Open(board_file, workers, kBlocks).value();
    form.FillGradient(worker, 0, absl::MakeSpan(gradient));
    state = {.worker = worker,
             .plan = &plan,
             .gradient = gradient,
             .values = absl::MakeSpan(values),
             .versions = std::vector<int64_t>(kBlocks),
             .board = board.get()};
  }

  absl::StatusOr<PipelineResult> Run(PipelineOptions options) {
    options.closed_form = &form;
    return RunPipeline(options, channel, state);
  }

  ShardPlan plan;
  ClosedForm form;
  std::vector<float> gradient;
  std::vector<float> values;
  std::unique_ptr<StepBoard> board;
  WorkerState state;
  FakeChannel channel;
};

TEST_CASE("calls start step by step, block by block, so many at a time") {
  const int in_flight = GENERATE(1, 2, 5, 64);
  Bench bench;
  const auto result = bench.Run({.steps = 4,
                                 .blocks = {0, 1, 2, 3, 4},
                                 .in_flight = in_flight,
                                 .keep_latencies = true});
  REQUIRE_OK(result);
  REQUIRE(result->calls == 20);
  REQUIRE(result->latencies_ns.size() == 20);
  REQUIRE(result->values_checked == 20);
  REQUIRE(result->end_ns >= result->begin_ns);
  REQUIRE(bench.channel.most_in_flight ==
          static_cast<size_t>(std::min(in_flight, kBlocks)));
  for (size_t i = 0; i < 20; ++i) {
    REQUIRE(bench.channel.started[i].block == static_cast<int>(i % 5));
    REQUIRE(bench.channel.started[i].step == static_cast<int64_t>(i / 5));
  }
  REQUIRE(bench.state.versions == std::vector<int64_t>(5, 4));
  REQUIRE_OK(bench.form.Check(0, bench.values, 4));
}

TEST_CASE("some of the blocks move on, the others stay") {
  Bench bench;
  REQUIRE_OK(bench.Run({.steps = 3, .blocks = {1, 3}, .in_flight = 2}));
  REQUIRE(bench.state.versions == std::vector<int64_t>{0, 3, 0, 3, 0});
  REQUIRE_OK(
      bench.Run({.steps = 1, .blocks = {0, 1, 2, 3, 4}, .in_flight = 2}));
  REQUIRE(bench.state.versions == std::vector<int64_t>{1, 4, 1, 4, 1});
}

TEST_CASE("pulls leave versions as they are; pushes bring no values") {
  Bench bench;
  REQUIRE_OK(bench.Run({.operation = Operation::kPush,
                        .steps = 2,
                        .blocks = {0, 1, 2, 3, 4},
                        .in_flight = 3}));
  REQUIRE(bench.state.versions == std::vector<int64_t>(5, 2));
  REQUIRE(bench.values == std::vector<float>(kElements));
  const auto pulled = bench.Run({.operation = Operation::kPull,
                                 .steps = 3,
                                 .blocks = {0, 1, 2, 3, 4},
                                 .in_flight = 3,
                                 .check_all = true});
  REQUIRE_OK(pulled);
  REQUIRE(pulled->values_checked == 3 * kElements);
  REQUIRE(bench.state.versions == std::vector<int64_t>(5, 2));
  REQUIRE_OK(bench.form.Check(0, bench.values, 2));
}

TEST_CASE("push, then pull: two calls that count as one") {
  Bench bench;
  const auto result = bench.Run({.operation = Operation::kPushThenPull,
                                 .steps = 2,
                                 .blocks = {0, 1},
                                 .in_flight = 1,
                                 .keep_latencies = true});
  REQUIRE_OK(result);
  REQUIRE(result->latencies_ns.size() == 4);
  REQUIRE(bench.channel.started.size() == 8);
  REQUIRE(bench.channel.started[0].to.empty());
  REQUIRE(bench.channel.started[1].gradient.empty());
  REQUIRE(bench.channel.started[1].step == 1);
  REQUIRE(bench.channel.most_in_flight == 1);
}

TEST_CASE("the first error ends the run, naming the block") {
  Bench bench;
  bench.channel.fail_at = 7;
  REQUIRE_THAT(
      StatusOf(
          bench.Run({.steps = 9, .blocks = {0, 1, 2, 3, 4}, .in_flight = 1})),
      IsError(absl::StatusCode::kAborted, "block 1", "as the test wants"));
}

TEST_CASE("a wrong value is an error while the clock still runs") {
  Bench bench;
  bench.channel.corrupt_block = 2;
  const bool check_all = GENERATE(false, true);
  REQUIRE_THAT(StatusOf(bench.Run({.steps = 2,
                                   .blocks = {0, 1, 2, 3, 4},
                                   .in_flight = 2,
                                   .check_all = check_all})),
               IsError(absl::StatusCode::kDataLoss, "block 2", "is right"));
}

TEST_CASE("who pushes ahead waits for the others") {
  const std::string file = absl::StrCat(NewScratchFolder(), "/board");
  REQUIRE_OK(StepBoard::Create(file, 2, kBlocks));
  Bench ahead(2, 0, file);
  const PipelineOptions options{.operation = Operation::kPush,
                                .steps = 3,
                                .blocks = {0, 1, 2, 3, 4},
                                .in_flight = 2};
  absl::Status status;
  std::thread runner([&] { status = ahead.Run(options).status(); });
  const auto behind = StepBoard::Open(file, 2, kBlocks).value();
  // It cannot begin step 1 of a block before this worker has pushed step 0.
  REQUIRE(ahead.board->AwaitAll(0, 0, absl::ZeroDuration()));
  for (int64_t step = 1; step <= 3; ++step) {
    for (int block = 0; block < kBlocks; ++block) {
      REQUIRE_FALSE(behind->AllReached(block, step));
      behind->Advance(1, block, step);
      REQUIRE(behind->AwaitAll(block, step, absl::Minutes(1)));
    }
  }
  runner.join();
  REQUIRE_OK(status);
  REQUIRE(ahead.channel.started.size() == 15);
}

TEST_CASE("a board is opened only with its own numbers") {
  const std::string file = absl::StrCat(NewScratchFolder(), "/board");
  REQUIRE_OK(StepBoard::Create(file, 2, 3));
  REQUIRE_FALSE(StepBoard::Create(file, 2, 3).ok());
  REQUIRE_FALSE(StepBoard::Open(file, 3, 3).ok());
  REQUIRE_FALSE(StepBoard::Open(file + "x", 2, 3).ok());
  const auto board = StepBoard::Open(file, 2, 3).value();
  REQUIRE(board->AllReached(0, 0));
  REQUIRE_FALSE(board->AwaitAll(0, 1, absl::Milliseconds(1)));
}

}  // namespace
}  // namespace tessera::bench
