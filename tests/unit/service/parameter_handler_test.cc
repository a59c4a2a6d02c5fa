#include "server/service/parameter_handler.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/device/make_device.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "tests/unit/service/push_messages.h"

namespace tessera {
namespace {

using Code = absl::StatusCode;

// 56 parameters in blocks of 16, 16, 16 and 8; shard 0 has the first two. M
// = 4.
class Fixture {
 public:
  Fixture()
      : job(MakeTestJob({.parameters = 56, .microbatches = 4})),
        plan(MakeTestPlan(job, 2)),
        device(MakeDevice("cpu").value()),
        store(ShardStore::Create(job, plan, 0, *device).value()),
        handler(job, plan, 0, *store) {}

  v1::PushRequest Header(int block, int64_t step,
                         const MicrobatchRange& range) const {
    return MakePushHeader<v1::PushRequest>(job, plan, block, step, range);
  }

  absl::StatusOr<v1::PushResponse> Push(const v1::PushRequest& request,
                                        const std::vector<float>& values) {
    return handler.Push(request, FragmentedBytes::OfFloats(values));
  }

  // The same request as a PushPull; its answer, when there is one at once.
  std::optional<absl::StatusOr<PushPullReply>> PushPull(
      const v1::PushRequest& push, const std::vector<float>& values) {
    v1::PushPullRequest request;
    REQUIRE(request.ParseFromString(push.SerializeAsString()));
    auto answer =
        std::make_shared<std::optional<absl::StatusOr<PushPullReply>>>();
    handler.PushPull(request, FragmentedBytes::OfFloats(values),
                     [answer](absl::StatusOr<PushPullReply> reply) {
                       REQUIRE_FALSE(answer->has_value());
                       *answer = std::move(reply);
                     });
    return *answer;
  }

  Job job;
  ShardPlan plan;
  std::unique_ptr<Device> device;
  std::unique_ptr<ShardStore> store;
  ParameterHandler handler;
};

struct Malformed {
  std::string name;
  std::function<void(v1::PushRequest&, std::vector<float>&)> spoil;
  Code code;
  std::vector<std::string> words;
};

std::vector<Malformed> MalformedPushes() {
  using Request = v1::PushRequest;
  using Values = std::vector<float>;
  const auto range = [](int begin, int end) {
    return [begin, end](Request& r, Values&) {
      r.set_microbatch_begin(begin);
      r.set_microbatch_end(end);
    };
  };
  const auto value = [](float bad) {
    return [bad](Request&, Values& v) { v[5] = bad; };
  };
  return {
      {"unknown fingerprint",
       [](Request& r, Values&) { r.set_job_fingerprint(0xabcd); },
       Code::kFailedPrecondition,
       {"000000000000abcd", "same job file"}},
      {"wrong shard",
       [](Request& r, Values&) { r.set_shard(1); },
       Code::kInvalidArgument,
       {"shard 1", "holds shard 0 of 2"}},
      {"negative shard",
       [](Request& r, Values&) { r.set_shard(-1); },
       Code::kInvalidArgument,
       {"shard -1"}},
      {"another shard's block",
       [](Request& r, Values&) { r.set_block(2); },
       Code::kInvalidArgument,
       {"block 2 of 4", "[0, 2)"}},
      {"block out of range",
       [](Request& r, Values&) { r.set_block(1000); },
       Code::kInvalidArgument,
       {"block 1000"}},
      {"negative block",
       [](Request& r, Values&) { r.set_block(-1); },
       Code::kInvalidArgument,
       {"block -1"}},
      {"payload too short",
       [](Request&, Values& v) { v.pop_back(); },
       Code::kInvalidArgument,
       {"60", "64"}},
      {"payload too long",
       [](Request&, Values& v) { v.push_back(0); },
       Code::kInvalidArgument,
       {"68", "64"}},
      {"no payload",
       [](Request&, Values& v) { v.clear(); },
       Code::kInvalidArgument,
       {"0", "64"}},
      {"no encoding",
       [](Request& r, Values&) { r.set_encoding(v1::ENCODING_UNSPECIFIED); },
       Code::kInvalidArgument,
       {"encoding 0", "ENCODING_FLOAT32"}},
      {"unknown encoding",
       [](Request& r, Values&) {
         r.set_encoding(static_cast<v1::Encoding>(9));
       },
       Code::kInvalidArgument,
       {"encoding 9"}},
      {"future step",
       [](Request& r, Values&) { r.set_step(1); },
       Code::kOutOfRange,
       {"step 1"}},
      {"negative step",
       [](Request& r, Values&) { r.set_step(-1); },
       Code::kInvalidArgument,
       {"step -1"}},
      {"range outside M", range(0, 8), Code::kInvalidArgument, {"[0, 8)"}},
      {"range beyond M", range(4, 5), Code::kInvalidArgument, {"[4, 5)"}},
      {"negative range", range(-1, 1), Code::kInvalidArgument, {"[-1, 1)"}},
      {"unaligned range", range(1, 3), Code::kInvalidArgument, {"[1, 3)"}},
      {"empty range", range(1, 1), Code::kInvalidArgument, {"[1, 1)"}},
      {"backward range", range(2, 0), Code::kInvalidArgument, {"[2, 0)"}},
      {"NaN",
       value(std::numeric_limits<float>::quiet_NaN()),
       Code::kInvalidArgument,
       {"77", "block 1", "5"}},
      {"infinity",
       value(-std::numeric_limits<float>::infinity()),
       Code::kInvalidArgument,
       {"77", "block 1", "5"}},
      {"NaN loss",
       [](Request& r, Values&) { r.set_loss_sum(std::nan("")); },
       Code::kInvalidArgument,
       {"77", "loss"}},
  };
}

TEST_CASE("malformed pushes are refused in words and change nothing") {
  Fixture f;
  // Something that a mistake could damage.
  REQUIRE_OK(f.Push(f.Header(1, 0, {2, 3}), MakeGradient(f.plan, 1, 1)));
  const uint64_t before = f.store->StateHash();
  for (const Malformed& malformed : MalformedPushes()) {
    DYNAMIC_SECTION(malformed.name) {
      v1::PushRequest request = f.Header(1, 0, {0, 1});
      std::vector<float> values = MakeGradient(f.plan, 1, 0.5);
      malformed.spoil(request, values);
      const absl::Status pushed = f.Push(request, values).status();
      const auto reply = f.PushPull(request, values);
      REQUIRE(reply.has_value());
      for (const absl::Status& status : {pushed, reply->status()}) {
        REQUIRE_ERROR(status, malformed.code);
        for (const std::string& word : malformed.words) {
          REQUIRE_ERROR(status, malformed.code, word);
        }
      }
      REQUIRE(f.store->StateHash() == before);
    }
  }
}

TEST_CASE("a pull is checked like a push") {
  Fixture f;
  absl::Status status;
  const auto pull = [&](const v1::PullRequest& request) {
    f.handler.Pull(request, [&](absl::StatusOr<PullReply> reply) {
      status = reply.status();
    });
    return status;
  };
  v1::PullRequest request = MakePull(f.job, f.plan, 0, 0);
  request.set_job_fingerprint(1);
  REQUIRE_ERROR(pull(request), Code::kFailedPrecondition, "fingerprint");
  REQUIRE_ERROR(pull(MakePull(f.job, f.plan, 2, 0)), Code::kInvalidArgument,
                "shard 1");
  REQUIRE_ERROR(pull(MakePull(f.job, f.plan, 0, 2)), Code::kOutOfRange, "2");
  REQUIRE_ERROR(pull(MakePull(f.job, f.plan, 0, -2)), Code::kInvalidArgument,
                "-2");
  request = MakePull(f.job, f.plan, 0, 0);
  request.clear_encoding();
  REQUIRE_ERROR(pull(request), Code::kInvalidArgument, "encoding 0");
}

TEST_CASE("an answer refers to the version's own memory, and is counted") {
  Fixture f;
  std::vector<PullReply> replies;
  for (int i = 0; i < 2; ++i) {
    f.handler.Pull(MakePull(f.job, f.plan, 1, ShardStore::kNewest),
                   [&](absl::StatusOr<PullReply> reply) {
                     REQUIRE_OK(reply);
                     replies.push_back(*std::move(reply));
                   });
  }
  REQUIRE(replies.size() == 2);
  REQUIRE(replies[0].payload.data() == replies[1].payload.data());
  REQUIRE(replies[0].header.block() == 1);
  REQUIRE(replies[0].header.version() == 0);
  REQUIRE(replies[0].header.encoding() == v1::ENCODING_FLOAT32);
  REQUIRE(replies[0].header.payload().empty());
  REQUIRE(f.handler.pulled_bytes() ==
          std::map<uint64_t, int64_t>{{0, 2 * 16 * 4}});
  replies.clear();
  f.handler.AwaitBlocksReturned();
}

TEST_CASE("the push that completes a step answers those that wait") {
  Fixture f;
  const std::vector<float> gradient = MakeGradient(f.plan, 1, 1);
  int answered = 0;
  for (const MicrobatchRange range : {MicrobatchRange{0, 2}, {2, 3}, {3, 4}}) {
    auto request =
        MakePushHeader<v1::PushPullRequest>(f.job, f.plan, 1, 0, range);
    request.set_request_id(static_cast<uint64_t>(100 + range.begin));
    f.handler.PushPull(request, FragmentedBytes::OfFloats(gradient),
                       [&answered, range](absl::StatusOr<PushPullReply> reply) {
                         REQUIRE_OK(reply);
                         REQUIRE(reply->header.request_id() ==
                                 static_cast<uint64_t>(100 + range.begin));
                         REQUIRE(reply->header.block() == 1);
                         REQUIRE(reply->header.version() == 1);
                         REQUIRE(reply->header.outcome() ==
                                 (range.begin == 3 ? v1::PUSH_OUTCOME_COMPLETED
                                                   : v1::PUSH_OUTCOME_ADDED));
                         ++answered;
                       });
    REQUIRE(answered == (range.end == 4 ? 3 : 0));
  }
  // A repeat, in the past by now, is answered with the version that it led to.
  const auto repeat = f.PushPull(f.Header(1, 0, {2, 3}), gradient);
  REQUIRE(repeat.has_value());
  REQUIRE_OK(*repeat);
  REQUIRE((*repeat)->header.outcome() == v1::PUSH_OUTCOME_DUPLICATE);
  REQUIRE((*repeat)->header.version() == 1);
}

TEST_CASE("a push too far in the past is counted already, and cannot pull") {
  Fixture f;
  const std::vector<float> gradient = MakeGradient(f.plan, 1, 1);
  for (int64_t step = 0; step < 3; ++step) {
    REQUIRE_OK(f.Push(f.Header(1, step, {0, 4}), gradient));
  }
  const uint64_t before = f.store->StateHash();
  const auto late = f.Push(f.Header(1, 0, {0, 4}), gradient);
  REQUIRE_OK(late);
  REQUIRE(late->outcome() == v1::PUSH_OUTCOME_DUPLICATE);
  REQUIRE(late->version() == 3);
  const auto reply = f.PushPull(f.Header(1, 0, {0, 4}), gradient);
  REQUIRE(reply.has_value());
  REQUIRE_ERROR(*reply, Code::kOutOfRange, "version 1");
  REQUIRE(f.store->StateHash() == before);
}

TEST_CASE("a wait is cancelled by its ticket, once") {
  Fixture f;
  absl::Status status;
  int calls = 0;
  const auto ticket = f.handler.Pull(MakePull(f.job, f.plan, 0, 1),
                                     [&](absl::StatusOr<PullReply> reply) {
                                       status = reply.status();
                                       ++calls;
                                     });
  REQUIRE(ticket.has_value());
  REQUIRE(calls == 0);
  f.handler.Cancel(*ticket);
  f.handler.Cancel(*ticket);
  REQUIRE(calls == 1);
  REQUIRE_ERROR(status, Code::kCancelled);
}

TEST_CASE("requests of another generation are refused, however they come") {
  Fixture f;
  REQUIRE_OK(f.store->Restore(2, 0, nullptr));
  const uint64_t before = f.store->StateHash();
  const auto [generation, code] =
      GENERATE(std::pair(int64_t{1}, Code::kAborted),
               std::pair(int64_t{3}, Code::kUnavailable));
  const std::string word = "generation " + std::to_string(generation);
  const std::vector<float> gradient = MakeGradient(f.plan, 1, 1);
  v1::PushRequest push = f.Header(1, 0, {0, 2});
  push.set_generation(generation);
  REQUIRE_ERROR(f.Push(push, gradient), code, word);
  REQUIRE_ERROR(f.PushPull(push, gradient).value(), code, word);

  v1::PullRequest pull = MakePull(f.job, f.plan, 1, 1);
  pull.set_generation(generation);
  absl::Status pulled;
  f.handler.Pull(
      pull, [&](absl::StatusOr<PullReply> reply) { pulled = reply.status(); });
  REQUIRE_ERROR(pulled, code, word);

  for (const v1::Part part :
       {v1::PART_UNSPECIFIED, v1::PART_PUSH, v1::PART_PULL}) {
    CAPTURE(static_cast<int>(part));
    auto call =
        MakePushHeader<v1::PushPullRequest>(f.job, f.plan, 1, 0, {0, 2});
    call.set_part(part);
    call.set_version(part == v1::PART_PULL ? 1 : 0);
    call.set_generation(generation);
    absl::Status answered;
    f.handler.StreamCall(call,
                         part == v1::PART_PULL
                             ? FragmentedBytes()
                             : FragmentedBytes::OfFloats(gradient),
                         [&](absl::StatusOr<PushPullReply> reply) {
                           answered = reply.status();
                         });
    REQUIRE_ERROR(answered, code, word);
  }
  REQUIRE(f.store->StateHash() == before);
}

TEST_CASE(
    "a wait ends with its generation, and one of none is to be repeated") {
  Fixture f;
  REQUIRE_OK(f.store->Restore(1, 0, nullptr));
  absl::Status of_worker, of_other;
  v1::PushPullRequest call =
      MakePushHeader<v1::PushPullRequest>(f.job, f.plan, 1, 0, {0, 2});
  call.set_generation(1);
  f.handler.PushPull(
      call, FragmentedBytes::OfFloats(MakeGradient(f.plan, 1, 1)),
      [&](absl::StatusOr<PushPullReply> reply) { of_worker = reply.status(); });
  f.handler.Pull(
      MakePull(f.job, f.plan, 1, 1),
      [&](absl::StatusOr<PullReply> reply) { of_other = reply.status(); });
  REQUIRE_OK(of_worker);
  REQUIRE_OK(f.store->Restore(2, 0, nullptr));
  REQUIRE_ERROR(of_worker, Code::kAborted, "generation 1");
  REQUIRE_ERROR(of_other, Code::kUnavailable);
}

TEST_CASE("other bytes for a gradient that was counted name both senders") {
  Fixture f;
  v1::PushRequest push = f.Header(1, 0, {0, 2});
  push.set_worker_id(5);
  REQUIRE_OK(f.Push(push, MakeGradient(f.plan, 1, 1)));
  push.set_worker_id(6);
  REQUIRE(f.Push(push, MakeGradient(f.plan, 1, 1))->outcome() ==
          v1::PUSH_OUTCOME_DUPLICATE);
  REQUIRE_ERROR(f.Push(push, MakeGradient(f.plan, 1, 2)), Code::kAlreadyExists,
                "worker 5", "worker 6", "block 1", "step 0", "[0, 2)");
}

}  // namespace
}  // namespace tessera
