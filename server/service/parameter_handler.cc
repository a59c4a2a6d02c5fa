#include "server/service/parameter_handler.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace tessera {
namespace {

v1::PushOutcome ToProto(PushOutcome outcome) {
  switch (outcome) {
    case PushOutcome::kAdded:
      return v1::PUSH_OUTCOME_ADDED;
    case PushOutcome::kDuplicate:
      return v1::PUSH_OUTCOME_DUPLICATE;
    case PushOutcome::kCompleted:
      return v1::PUSH_OUTCOME_COMPLETED;
  }
  return v1::PUSH_OUTCOME_UNSPECIFIED;
}

// What a push turned out to be, in a timeline.
const char* NameOf(PushOutcome outcome) {
  switch (outcome) {
    case PushOutcome::kAdded:
      return "add";
    case PushOutcome::kDuplicate:
      return "duplicate";
    case PushOutcome::kCompleted:
      return "apply";
  }
  return "";
}

// A contribution in a timeline, whose answer has the same.
template <typename Request>
TraceArgs TraceArgsOf(const Request& request) {
  return {.step = request.step(),
          .block = request.block(),
          .range_begin = request.microbatch_begin(),
          .range_end = request.microbatch_end(),
          .worker = request.worker_id(),
          .flow = TraceFlow::kPasses};
}

TraceArgs AnswerTraceArgs(const v1::PushPullRequest& request, int64_t version) {
  if (request.part() != v1::PART_PULL) return TraceArgsOf(request);
  return {.step = version, .block = request.block()};
}

// A block's memory, counted while somebody refers to it.
struct LentBlock {
  LentBlock(LiveCount& count, std::shared_ptr<const void> memory)
      : token(count), owner(std::move(memory)) {}

  LiveCount::Token token;  // Destroyed last.
  std::shared_ptr<const void> owner;
};

// Whether a unary request leaves out what only streams have.
absl::Status CheckIsUnary(const v1::PushPullRequest& request) {
  const char* field = request.part() != v1::PART_UNSPECIFIED ? "part"
                      : request.version() != 0               ? "version"
                      : request.has_shared()                 ? "shared"
                      : request.released_size() > 0          ? "released"
                                                             : nullptr;
  if (field == nullptr) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": only a call on a PushPullStream may have it"));
}

std::string Hex(uint64_t fingerprint) {
  return absl::StrCat(absl::Hex(fingerprint, absl::kZeroPad16));
}

absl::Status CheckEncoding(v1::Encoding said, v1::Encoding expected) {
  if (said == expected) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "encoding ", static_cast<int>(said), ": this job's is ",
      v1::Encoding_Name(expected), " (", static_cast<int>(expected), ")"));
}

FragmentedBytes::Piece BytesOf(const BlockVersion& block,
                               v1::Encoding encoding) {
  if (encoding != v1::ENCODING_FLOAT32) return block.payload;
  return {reinterpret_cast<const uint8_t*>(block.values.data()),
          block.values.size() * sizeof(float)};
}

}  // namespace

ParameterHandler::ParameterHandler(const Job& job, const ShardPlan& plan,
                                   int shard, ShardStore& store, Tracer* tracer)
    : fingerprint_(job.fingerprint()),
      push_encoding_(job.push_encoding()),
      pull_encoding_(job.pull_encoding()),
      plan_(plan),
      shard_(shard),
      store_(store),
      tracer_(tracer) {}

// What all requests have in common.
template <typename Request>
absl::Status ParameterHandler::Check(const Request& request) const {
  if (request.job_fingerprint() != fingerprint_) {
    return absl::FailedPreconditionError(absl::StrCat(
        "job fingerprint ", Hex(request.job_fingerprint()),
        ": this server runs the job ", Hex(fingerprint_),
        "; all servers and workers must be given the same job file"));
  }
  if (request.shard() != shard_) {
    return absl::InvalidArgumentError(absl::StrCat(
        "shard ", request.shard(), ": this server holds shard ", shard_, " of ",
        plan_.shard_count(), "; are the addresses in shard order?"));
  }
  const Interval blocks = plan_.ShardBlocks(shard_);
  if (!blocks.Contains(request.block())) {
    return absl::InvalidArgumentError(absl::StrCat(
        "block ", request.block(), " of ", plan_.block_count(), ": shard ",
        shard_, " has blocks [", blocks.begin, ", ", blocks.end, ")"));
  }
  return absl::OkStatus();
}

template <typename Request>
absl::Status ParameterHandler::CheckPull(const Request& request) const {
  TESSERA_RETURN_IF_ERROR(Check(request));
  // Exact values are there in any case.
  if (request.encoding() == v1::ENCODING_FLOAT32) return absl::OkStatus();
  return CheckEncoding(request.encoding(), pull_encoding_);
}

template <typename Request>
absl::StatusOr<PushResult> ParameterHandler::Contribute(
    const Request& request, const FragmentedBytes& payload) {
  TESSERA_RETURN_IF_ERROR(Check(request));
  TESSERA_RETURN_IF_ERROR(CheckEncoding(request.encoding(), push_encoding_));
  if (request.step() < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("step ", request.step(), ": steps count from 0"));
  }
  TraceArgs args = TraceArgsOf(request);
  args.bytes = static_cast<int64_t>(payload.size());
  TraceSpan span(tracer_, TraceCategory::kShard, "refuse", args);
  const auto result = store_.Push(
      {.block = request.block(),
       .step = request.step(),
       .range = {request.microbatch_begin(), request.microbatch_end()},
       .worker = WorkerId(request.worker_id()),
       .loss_sum = request.loss_sum(),
       .generation = request.generation()},
      payload);
  if (result.ok()) span.Rename(NameOf(result->outcome));
  return result;
}

absl::StatusOr<v1::PushResponse> ParameterHandler::Push(
    const v1::PushRequest& request, const FragmentedBytes& payload) {
  TESSERA_ASSIGN_OR_RETURN(PushResult result, Contribute(request, payload));
  v1::PushResponse response;
  response.set_outcome(ToProto(result.outcome));
  response.set_version(result.newest_version);
  return response;
}

std::optional<PullTicket> ParameterHandler::Pull(const v1::PullRequest& request,
                                                 PullDone done) {
  if (absl::Status status = CheckPull(request); !status.ok()) {
    done(std::move(status));
    return std::nullopt;
  }
  auto answer = [this, encoding = request.encoding(),
                 done = std::move(done)](absl::StatusOr<BlockVersion> block) {
    if (!block.ok()) return done(block.status());
    const TraceSpan span(tracer_, TraceCategory::kShard, "answer",
                         {.step = block->version, .block = block->block});
    PullReply reply;
    Lend(0, encoding, *std::move(block), reply);
    done(std::move(reply));
  };
  const int block = request.block();
  return PullTicket{block,
                    store_.Pull(block, request.version(), std::move(answer),
                                request.generation())};
}

std::optional<PullTicket> ParameterHandler::PushPull(
    const v1::PushPullRequest& request, const FragmentedBytes& payload,
    PushPullDone done) {
  if (absl::Status status = CheckIsUnary(request); !status.ok()) {
    done(std::move(status));
    return std::nullopt;
  }
  return DoBoth(request, payload, std::move(done));
}

std::optional<PullTicket> ParameterHandler::StreamCall(
    const v1::PushPullRequest& request, const FragmentedBytes& payload,
    PushPullDone done) {
  switch (request.part()) {
    case v1::PART_UNSPECIFIED:
      return DoBoth(request, payload, std::move(done));
    case v1::PART_PUSH:
      DoPush(request, payload, done);
      return std::nullopt;
    case v1::PART_PULL:
      return DoPull(request, payload, std::move(done));
    default:
      done(absl::InvalidArgumentError(
          absl::StrCat("part ", static_cast<int>(request.part()),
                       ": must be PART_PUSH, PART_PULL or left out")));
      return std::nullopt;
  }
}

std::optional<PullTicket> ParameterHandler::DoBoth(
    const v1::PushPullRequest& request, const FragmentedBytes& payload,
    PushPullDone done) {
  const absl::StatusOr<PushResult> pushed = Contribute(request, payload);
  if (!pushed.ok()) {
    done(pushed.status());
    return std::nullopt;
  }
  return Await(request, request.step() + 1, pull_encoding_,
               ToProto(pushed->outcome), std::move(done));
}

void ParameterHandler::DoPush(const v1::PushPullRequest& request,
                              const FragmentedBytes& payload,
                              const PushPullDone& done) {
  const absl::StatusOr<PushResult> pushed = Contribute(request, payload);
  if (!pushed.ok()) return done(pushed.status());
  PushPullReply reply;
  reply.header.set_request_id(request.request_id());
  reply.header.set_block(request.block());
  reply.header.set_version(pushed->newest_version);
  reply.header.set_outcome(ToProto(pushed->outcome));
  done(std::move(reply));
}

std::optional<PullTicket> ParameterHandler::DoPull(
    const v1::PushPullRequest& request, const FragmentedBytes& payload,
    PushPullDone done) {
  absl::Status status = CheckPull(request);
  if (status.ok() && payload.size() > 0) {
    status = absl::InvalidArgumentError(
        absl::StrCat("pull of block ", request.block(), ": it comes with ",
                     payload.size(), " bytes where a PART_PULL has none"));
  }
  if (!status.ok()) {
    done(std::move(status));
    return std::nullopt;
  }
  return Await(request, request.version(), request.encoding(),
               v1::PUSH_OUTCOME_UNSPECIFIED, std::move(done));
}

PullTicket ParameterHandler::Await(const v1::PushPullRequest& request,
                                   int64_t version, v1::Encoding encoding,
                                   v1::PushOutcome outcome, PushPullDone done) {
  auto answer = [this, id = request.request_id(), worker = request.worker_id(),
                 encoding, outcome, args = AnswerTraceArgs(request, version),
                 done = std::move(done)](absl::StatusOr<BlockVersion> block) {
    if (!block.ok()) return done(block.status());
    const TraceSpan span(tracer_, TraceCategory::kShard, "answer", args);
    PushPullReply reply;
    reply.header.set_request_id(id);
    reply.header.set_outcome(outcome);
    Lend(worker, encoding, *std::move(block), reply);
    done(std::move(reply));
  };
  const int block = request.block();
  return {block,
          store_.Pull(block, version, std::move(answer), request.generation())};
}

template <typename Reply>
void ParameterHandler::Lend(uint64_t worker, v1::Encoding encoding,
                            BlockVersion block, Reply& reply) {
  reply.header.set_block(block.block);
  reply.header.set_version(block.version);
  reply.header.set_encoding(encoding);
  reply.payload = BytesOf(block, encoding);
  {
    MutexLock lock(&mutex_);
    pulled_bytes_[worker] += static_cast<int64_t>(reply.payload.size());
  }
  reply.owner = std::make_shared<LentBlock>(lent_, std::move(block.owner));
}

std::map<uint64_t, int64_t> ParameterHandler::pulled_bytes() const {
  MutexLock lock(&mutex_);
  return pulled_bytes_;
}

}  // namespace tessera
