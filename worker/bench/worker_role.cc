#include "worker/bench/worker_role.h"

#include <time.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/shm/shared_region.h"
#include "worker/bench/baseline/channel.h"
#include "worker/bench/closed_form.h"
#include "worker/bench/pipeline.h"
#include "worker/bench/raw_tcp/channel.h"
#include "worker/bench/step_board.h"
#include "worker/bench/tessera_channel.h"

namespace tessera::bench {
namespace {

// Pushing x itself makes it 0 where float32 travels; where bfloat16 does, each
// push takes away the 8 upper bits of what is left of the 24.
constexpr int kMaxResets = 6;

double ProcessCpuSeconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) +
         1e-9 * static_cast<double>(now.tv_nsec);
}

class Worker {
 public:
  Worker(const ChildSetup& setup, const ShardPlan& plan)
      : setup_(setup),
        plan_(plan),
        closed_form_(setup.workers, setup.unit(), setup.encoding),
        values_(static_cast<size_t>(plan.elements())) {
    state_.worker = setup.index;
    state_.plan = &plan_;
    state_.values = absl::MakeSpan(values_);
    state_.versions.assign(static_cast<size_t>(plan.block_count()),
                           setup.version);
  }

  absl::Status Connect() {
    TESSERA_RETURN_IF_ERROR(MakeGradient());
    TESSERA_ASSIGN_OR_RETURN(board_,
                             StepBoard::Open(setup_.board_file, setup_.workers,
                                             plan_.block_count()));
    state_.board = board_.get();
    for (int block = 0; block < plan_.block_count(); ++block) {
      board_->Advance(setup_.index, block, setup_.version);
    }
    return ConnectBy(setup_.paths.front());
  }

  absl::StatusOr<nlohmann::json> Do(const nlohmann::json& command) {
    const std::string name = command.value("command", std::string());
    if (name == "connect") {
      TESSERA_ASSIGN_OR_RETURN(const RunRequest request,
                               RequestFromJson(command));
      TESSERA_RETURN_IF_ERROR(ConnectBy(request.series.path));
      return nlohmann::json{{"connected", true}};
    }
    if (name == "reset") return Reset();
    if (name == "run") return Run(command);
    if (name == "verify") return Verify();
    return absl::InternalError(absl::StrCat("unknown command ", name));
  }

 private:
  bool Shares() const {
    return std::any_of(setup_.paths.begin(), setup_.paths.end(), [](Path p) {
      return p == Path::kShared || p == Path::kSharedInPlace;
    });
  }

  // In memory that servers may read, if any path wants that.
  absl::Status MakeGradient() {
    if (Shares()) {
      const size_t bytes = values_.size() * sizeof(float);
      TESSERA_ASSIGN_OR_RETURN(region_, SharedRegion::Create(bytes));
      TESSERA_ASSIGN_OR_RETURN(void* const memory, region_->Allocate(bytes));
      gradient_ = {static_cast<float*>(memory), values_.size()};
    } else {
      own_gradient_.resize(values_.size());
      gradient_ = absl::MakeSpan(own_gradient_);
    }
    closed_form_.FillGradient(setup_.index, 0, gradient_);
    state_.gradient = gradient_;
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<BlockChannel>> MakeChannel(Path path) {
    if (path == Path::kRawTcp) {
      return ConnectRawTcp(plan_, setup_.servers, setup_.index);
    }
    if (path == Path::kGrpcDefaults) {
      return ConnectBaseline(plan_, setup_.servers, setup_.index);
    }
    return ConnectTessera(plan_, {.path = path,
                                  .servers = setup_.servers,
                                  .job_fingerprint = setup_.job_fingerprint,
                                  .worker = setup_.index,
                                  .workers = setup_.workers,
                                  .encoding = setup_.encoding,
                                  .region = region_,
                                  .security = setup_.security});
  }

  // One at a time, as a worker that trains has it: all threads of a process
  // that wait inside gRPC take part in reading all its sockets, so a channel
  // that only lies there would slow down the others.
  absl::Status ConnectBy(Path path) {
    if (channel_ != nullptr && path == path_) return absl::OkStatus();
    channel_.reset();
    TESSERA_ASSIGN_OR_RETURN(channel_, MakeChannel(path));
    path_ = path;
    return absl::OkStatus();
  }

  std::vector<int> Blocks(int count) const {
    std::vector<int> blocks;
    for (int i = 0; i < count; ++i) {
      blocks.push_back(
          static_cast<int>(int64_t{i} * plan_.block_count() / count));
    }
    return blocks;
  }

  // One step of all blocks, untimed.
  absl::Status Step(Operation operation) {
    const PipelineOptions options{.operation = operation,
                                  .blocks = Blocks(plan_.block_count()),
                                  .in_flight = 8};
    return RunPipeline(options, *channel_, state_).status();
  }

  absl::StatusOr<nlohmann::json> Reset() {
    TESSERA_RETURN_IF_ERROR(Step(Operation::kPull));
    std::vector<float> negated;
    for (int i = 0; i < kMaxResets; ++i) {
      // Every worker sees the same values, so all stop together.
      if (std::all_of(values_.begin(), values_.end(),
                      [](float x) { return x == 0; })) {
        return Restart();
      }
      negated.assign(values_.size(), 0.0f);
      if (setup_.index == 0) {
        for (size_t j = 0; j < negated.size(); ++j) {
          negated[j] = values_[j] / setup_.unit();
        }
      }
      state_.gradient = negated;
      const absl::Status status = Step(Operation::kPushPull);
      state_.gradient = gradient_;
      TESSERA_RETURN_IF_ERROR(status);
    }
    return absl::FailedPreconditionError(
        "the parameters cannot be set to 0 by pushing them: is the optimizer "
        "plain SGD, without decay and clipping, with a power of two as its "
        "constant learning rate?");
  }

  // From here on the closed form holds.
  nlohmann::json Restart() {
    origin_ = state_.versions[0];
    Poison();
    return {{"origin", origin_}, {"max_steps", closed_form_.max_steps()}};
  }

  // So that values which do not arrive are not taken for right.
  void Poison() {
    std::memset(values_.data(), 0xff, values_.size() * sizeof(float));
  }

  absl::StatusOr<nlohmann::json> Run(const nlohmann::json& command) {
    TESSERA_ASSIGN_OR_RETURN(const RunRequest request,
                             RequestFromJson(command));
    const PipelineOptions options{
        .operation = request.series.operation,
        .steps = request.steps,
        .blocks = Blocks(request.blocks),
        .in_flight = request.in_flight,
        .keep_latencies = request.keep_latencies,
        .closed_form = &closed_form_,
        .origin = origin_,
        .check_all = request.series.path == Path::kSharedInPlace};
    if (request.series.path != path_) {
      return absl::InternalError("the worker is connected by another path");
    }
    last_run_ = request;
    WorkerRun run;
    const double cpu_before = ProcessCpuSeconds();
    TESSERA_ASSIGN_OR_RETURN(run.pipeline,
                             RunPipeline(options, *channel_, state_));
    run.cpu_seconds = ProcessCpuSeconds() - cpu_before;
    return ToJson(run);
  }

  absl::StatusOr<nlohmann::json> Verify() {
    std::vector<int> blocks = Blocks(last_run_.blocks);
    if (last_run_.series.operation == Operation::kPush ||
        last_run_.series.path == Path::kSharedInPlace) {
      TESSERA_RETURN_IF_ERROR(Step(Operation::kPull));
      blocks = Blocks(plan_.block_count());
    }
    int64_t checked = 0;
    for (int block : blocks) {
      const Interval elements = plan_.BlockElements(block);
      const auto values = absl::MakeConstSpan(values_).subspan(
          static_cast<size_t>(elements.begin),
          static_cast<size_t>(elements.size()));
      TESSERA_RETURN_IF_ERROR(closed_form_.Check(
          elements.begin, values,
          state_.versions[static_cast<size_t>(block)] - origin_));
      checked += elements.size();
    }
    Poison();
    return nlohmann::json{{"values_checked", checked}};
  }

  const ChildSetup& setup_;
  const ShardPlan plan_;
  ClosedForm closed_form_;
  std::shared_ptr<SharedRegion> region_;  // May be null.
  std::vector<float> own_gradient_;
  absl::Span<float> gradient_;  // In one of these two.
  std::vector<float> values_;
  std::unique_ptr<StepBoard> board_;
  WorkerState state_;
  int64_t origin_ = 0;
  RunRequest last_run_;
  Path path_ = Path::kTcp;  // Of the channel.
  // Last, so that calls end before their memory.
  std::unique_ptr<BlockChannel> channel_;
};

}  // namespace

absl::Status RunWorkerRole(const ChildSetup& setup, ControlLink& parent) {
  TESSERA_ASSIGN_OR_RETURN(const ShardPlan plan, setup.Plan());
  Worker worker(setup, plan);
  TESSERA_RETURN_IF_ERROR(worker.Connect());
  TESSERA_RETURN_IF_ERROR(parent.Send({{"ready", true}}));
  while (true) {
    const auto command = parent.Receive();
    // The parent is done with us.
    if (!command.ok()) return absl::OkStatus();
    const auto answer = worker.Do(*command);
    if (!answer.ok()) {
      (void)parent.Send(ErrorToJson(answer.status()));
      // Calls may be under way, which use what a return would destroy.
      std::_Exit(1);
    }
    TESSERA_RETURN_IF_ERROR(parent.Send(*answer));
  }
}

}  // namespace tessera::bench
