#include "server/service/parameter_methods.h"

#include <catch2/catch.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/device/make_device.h"
#include "common/rpc/byte_buffer.h"
#include "common/wire/payload_message.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "tests/unit/service/push_messages.h"

namespace tessera {
namespace {

class Fixture {
 public:
  explicit Fixture(const std::string& wire)
      : job(MakeTestJob({.parameters = 40, .wire = wire})),
        plan(MakeTestPlan(job, 1)),
        device(MakeDevice("cpu").value()),
        store(ShardStore::Create(job, plan, 0, *device).value()),
        handler(job, plan, 0, *store) {}

  // The newest version of block 1, straight from the store.
  BlockVersion Newest() const {
    std::optional<BlockVersion> newest;
    store->Pull(1, ShardStore::kNewest, [&](auto version) {
      REQUIRE_OK(version);
      newest = *std::move(version);
    });
    REQUIRE(newest.has_value());
    return *newest;
  }

  Job job;
  ShardPlan plan;
  std::unique_ptr<Device> device;
  std::unique_ptr<ShardStore> store;
  ParameterHandler handler;
};

TEST_CASE("what gRPC sends is the version's own memory") {
  const std::string wire = GENERATE("", "pull: ENCODING_BFLOAT16");
  Fixture f(wire);
  const BlockVersion version = f.Newest();
  for (const v1::Encoding encoding :
       {f.job.pull_encoding(), v1::ENCODING_FLOAT32}) {
    v1::PullRequest pull = MakePull(f.job, f.plan, 1, 0);
    pull.set_encoding(encoding);
    std::optional<grpc::ByteBuffer> answer;
    const std::string bytes = pull.SerializeAsString();
    ServePull(f.handler,
              FragmentedBytes({reinterpret_cast<const uint8_t*>(bytes.data()),
                               bytes.size()}),
              [&](absl::StatusOr<grpc::ByteBuffer> reply) {
                REQUIRE_OK(reply);
                answer = *std::move(reply);
              });
    REQUIRE(answer.has_value());
    std::vector<grpc::Slice> slices;
    REQUIRE(answer->Dump(&slices).ok());
    REQUIRE(slices.size() == 2);
    const auto* const values =
        reinterpret_cast<const uint8_t*>(version.values.data());
    REQUIRE(
        slices[1].begin() ==
        (encoding == v1::ENCODING_FLOAT32 ? values : version.payload.data()));
    REQUIRE(slices[1].size() == (encoding == v1::ENCODING_FLOAT32 ? 64U : 32U));
  }
  // On a stream it is the same memory.
  v1::PushPullRequest request = MakePushHeader<v1::PushPullRequest>(
      f.job, f.plan, 1, 0, MicrobatchRange{});
  request.set_part(v1::PART_PULL);
  request.set_encoding(f.job.pull_encoding());
  f.handler.StreamCall(request, {}, [&](absl::StatusOr<PushPullReply> reply) {
    REQUIRE_OK(reply);
    std::vector<grpc::Slice> slices;
    REQUIRE(StreamAnswer(*reply).Dump(&slices).ok());
    REQUIRE(slices.size() == 2);
    REQUIRE(slices[1].begin() == version.payload.data());
  });
}

TEST_CASE("a pull may ask for exact values, or the job's, and no others") {
  Fixture f("push: ENCODING_BFLOAT16");
  absl::Status status;
  v1::PullRequest pull = MakePull(f.job, f.plan, 1, 0);
  pull.set_encoding(v1::ENCODING_BFLOAT16);
  f.handler.Pull(
      pull, [&](absl::StatusOr<PullReply> reply) { status = reply.status(); });
  REQUIRE_ERROR(status, absl::StatusCode::kInvalidArgument, "encoding 2",
                "ENCODING_FLOAT32");
  v1::PushRequest push =
      MakePushHeader<v1::PushRequest>(f.job, f.plan, 1, 0, {0, 1});
  REQUIRE_ERROR(f.handler.Push(push, FragmentedBytes()),
                absl::StatusCode::kInvalidArgument, "encoding 1",
                "ENCODING_BFLOAT16");
}

}  // namespace
}  // namespace tessera
