#include "worker/bench/pipeline.h"

#include <time.h>

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"

namespace tessera::bench {
namespace {

// Longer than any step; a worker that died ends the run before.
constexpr absl::Duration kStandstill = absl::Seconds(60);

int64_t NowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
}

// Callbacks hold it: one that has given up its call, the last one, may still
// look for another when the run is over.
class Pipeline : public std::enable_shared_from_this<Pipeline> {
 public:
  Pipeline(const PipelineOptions& options, BlockChannel& channel,
           WorkerState& state)
      : options_(options),
        channel_(channel),
        state_(state),
        total_(options.steps * static_cast<int64_t>(options.blocks.size())),
        first_versions_(state.versions) {
    if (options.keep_latencies) {
      result_.latencies_ns.reserve(static_cast<size_t>(total_));
    }
    steps_back_.resize(options.blocks.size());
  }

  absl::StatusOr<PipelineResult> Run() {
    const int64_t begin_ns = NowNs();
    StartCalls();
    while (!Ended()) {
      channel_.Drive(idle_);
      idle_.Clear();
      if (!Ended()) AwaitOthers();
      StartCalls();
    }
    const int64_t end_ns = NowNs();
    MutexLock lock(&mutex_);
    if (!error_.ok()) return error_;
    for (int block : options_.blocks) {
      state_.board->Advance(state_.worker, block,
                            state_.versions[static_cast<size_t>(block)]);
    }
    result_.begin_ns = begin_ns;
    result_.end_ns = end_ns;
    result_.calls = total_;
    return std::move(result_);
  }

 private:
  struct Call {
    size_t place = 0;  // In options_.blocks.
    int block = 0;
    int64_t version = 0;  // Before the call.
    int64_t begin_ns = 0;
  };

  bool IsPush() const { return options_.operation != Operation::kPull; }
  // Whether the answer says that the step is complete.
  bool WaitsForStep() const { return options_.operation != Operation::kPush; }

  bool Ended() {
    MutexLock lock(&mutex_);
    return !error_.ok() || (in_flight_ == 0 && next_ == total_);
  }

  // The next call in order, if it may start now.
  bool Next(Call& call) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (next_ == total_ || in_flight_ >= options_.in_flight || !error_.ok()) {
      return false;
    }
    const auto width = static_cast<int64_t>(options_.blocks.size());
    call.place = static_cast<size_t>(next_ % width);
    call.block = options_.blocks[call.place];
    const int64_t step = next_ / width;
    if (steps_back_[call.place] != step) return false;
    call.version = first_versions_[static_cast<size_t>(call.block)] +
                   (IsPush() ? step : 0);
    if (!WaitsForStep() &&
        !state_.board->AllReached(call.block, call.version)) {
      return false;
    }
    ++next_;
    ++in_flight_;
    return true;
  }

  void StartCalls() {
    while (true) {
      Call call;
      {
        MutexLock lock(&mutex_);
        if (!Next(call)) {
          if (in_flight_ == 0) idle_.Set();
          return;
        }
      }
      if (options_.keep_latencies) call.begin_ns = NowNs();
      Start(call);
    }
  }

  void Start(const Call& call) {
    const Interval elements = state_.plan->BlockElements(call.block);
    const auto begin = static_cast<size_t>(elements.begin);
    const auto size = static_cast<size_t>(elements.size());
    BlockCall request{.operation = options_.operation,
                      .block = call.block,
                      .step = call.version};
    if (IsPush()) request.gradient = state_.gradient.subspan(begin, size);
    if (WaitsForStep()) request.to = state_.values.subspan(begin, size);
    if (options_.operation != Operation::kPushThenPull) {
      channel_.Start(request, [self = shared_from_this(), call](auto values) {
        self->OnDone(call, std::move(values));
      });
      return;
    }
    BlockCall pull = request;
    pull.operation = Operation::kPull;
    pull.step = call.version + 1;
    pull.gradient = {};
    request.operation = Operation::kPush;
    request.to = {};
    channel_.Start(request,
                   [self = shared_from_this(), call, pull](auto pushed) {
                     if (!pushed.ok())
                       return self->OnDone(call, pushed.status());
                     self->channel_.Start(pull, [self, call](auto values) {
                       self->OnDone(call, std::move(values));
                     });
                   });
  }

  void OnDone(const Call& call,
              absl::StatusOr<absl::Span<const float>> values) {
    const int64_t now_ns = options_.keep_latencies ? NowNs() : 0;
    absl::Status status = values.status();
    int64_t checked = 0;
    const int64_t version = call.version + (IsPush() ? 1 : 0);
    if (status.ok() && WaitsForStep() && options_.closed_form != nullptr) {
      MutexLock lock(&check_mutex_);
      status = Check(call.block, version, *values, checked);
    }
    if (status.ok() && !WaitsForStep()) {
      state_.board->Advance(state_.worker, call.block, version);
    }
    {
      MutexLock lock(&mutex_);
      --in_flight_;
      if (!error_.ok()) return;
      result_.values_checked += checked;
      if (!status.ok()) {
        error_ = absl::Status(
            status.code(),
            absl::StrCat("block ", call.block, ": ", status.message()));
        idle_.Set();
        return;
      }
      if (options_.keep_latencies) {
        result_.latencies_ns.push_back(now_ns - call.begin_ns);
      }
      ++steps_back_[call.place];
      state_.versions[static_cast<size_t>(call.block)] = version;
    }
    StartCalls();
  }

  absl::Status Check(int block, int64_t version, absl::Span<const float> values,
                     int64_t& checked)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(check_mutex_) {
    const int64_t first = state_.plan->BlockElements(block).begin;
    const int64_t steps = version - options_.origin;
    if (!options_.check_all) {
      // Another place each time.
      const auto at = static_cast<size_t>(static_cast<uint64_t>(version) *
                                          2654435761u % values.size());
      values = values.subspan(at, 1);
      checked = 1;
      const float right = options_.closed_form->Expected(
          first + static_cast<int64_t>(at), steps);
      if (values[0] == right) return absl::OkStatus();
      return options_.closed_form->Check(first + static_cast<int64_t>(at),
                                         values, steps);
    }
    checked = static_cast<int64_t>(values.size());
    return options_.closed_form->Check(first, values, steps);
  }

  // Nothing is under way, and the next push has to wait for other workers.
  void AwaitOthers() {
    int block = 0;
    int64_t version = 0;
    {
      MutexLock lock(&mutex_);
      const auto width = static_cast<int64_t>(options_.blocks.size());
      block = options_.blocks[static_cast<size_t>(next_ % width)];
      version = first_versions_[static_cast<size_t>(block)] + next_ / width;
    }
    if (state_.board->AwaitAll(block, version, kStandstill)) return;
    MutexLock lock(&mutex_);
    error_ = absl::DeadlineExceededError(absl::StrCat(
        "another worker has not pushed step ", version - 1, " of block ", block,
        " for ", absl::FormatDuration(kStandstill)));
  }

  const PipelineOptions options_;
  BlockChannel& channel_;
  WorkerState& state_;
  const int64_t total_;
  const std::vector<int64_t> first_versions_;

  Signal idle_;  // Nothing is under way, or something failed.
  Mutex check_mutex_;
  Mutex mutex_;
  int64_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  int in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<int64_t> steps_back_ ABSL_GUARDED_BY(mutex_);
  absl::Status error_ ABSL_GUARDED_BY(mutex_);
  PipelineResult result_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<PipelineResult> RunPipeline(const PipelineOptions& options,
                                           BlockChannel& channel,
                                           WorkerState& state) {
  TESSERA_CHECK(!options.blocks.empty() && options.in_flight > 0 &&
                options.steps > 0);
  return std::make_shared<Pipeline>(options, channel, state)->Run();
}

}  // namespace tessera::bench
