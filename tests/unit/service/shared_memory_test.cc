// A server's side of shared memory, against a client that says what it likes.

#include <grpcpp/grpcpp.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "common/rpc/call_status.h"
#include "common/rpc/shm_metadata.h"
#include "common/shm/shared_region.h"
#include "common/shm/shm_link.h"
#include "common/shm/shm_offer.h"
#include "server/service/server.h"
#include "tessera/v1/parameter.grpc.pb.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "tests/unit/service/push_messages.h"

namespace tessera {
namespace {

using Code = absl::StatusCode;
using Stream =
    grpc::ClientReaderWriter<v1::PushPullRequest, v1::PushPullResponse>;

constexpr uint64_t kRegionBytes = 1 << 16;

// A server of 40 parameters in blocks of 16, 16 and 8, M = 4.
class Fixture {
 public:
  explicit Fixture(ShmUse use = ShmUse::kOn)
      : server(Server::Start(MakeTestJob({.parameters = 40, .microbatches = 4}),
                             {.shared_memory = use})
                   .value()),
        channel(grpc::CreateChannel(server->address(),
                                    grpc::InsecureChannelCredentials())),
        stub(v1::ParameterService::NewStub(channel)) {}

  // Block 1's gradient, which lies nowhere yet.
  v1::PushPullRequest Request(const MicrobatchRange& range) const {
    auto request = MakePushHeader<v1::PushPullRequest>(
        server->job(), server->plan(), 1, 0, range);
    request.set_request_id(7);
    return request;
  }

  std::unique_ptr<Server> server;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::ParameterService::Stub> stub;
};

// A stream that asks for shared memory.
class AskingStream {
 public:
  AskingStream(Fixture& f, const std::string& host_id) {
    context.AddMetadata(kSharedMemoryKey, host_id);
    stream = f.stub->PushPullStream(&context);
    stream->WaitForInitialMetadata();
  }
  ~AskingStream() {
    context.TryCancel();
    stream->Finish();
  }

  // Of the server's initial metadata; empty when there is none.
  std::string Metadata(const std::string& key) const {
    const auto& all = context.GetServerInitialMetadata();
    const auto found = all.find(key);
    if (found == all.end()) return "";
    return {found->second.data(), found->second.size()};
  }

  std::unique_ptr<ShmLink> Connect(const SharedRegion* region) const {
    const auto offer = ParseShmOffer(Metadata(kSharedMemoryKey));
    REQUIRE_OK(offer);
    auto link = ShmLink::Connect(*offer, region, absl::Minutes(1));
    REQUIRE_OK(link);
    return *std::move(link);
  }

  v1::PushPullResponse Ask(const v1::PushPullRequest& request) {
    REQUIRE(stream->Write(request));
    v1::PushPullResponse response;
    REQUIRE(stream->Read(&response));
    REQUIRE(response.request_id() == request.request_id());
    return response;
  }

  absl::Status Refusal(const v1::PushPullRequest& request) {
    return FromCallError(Ask(request).error());
  }

  grpc::ClientContext context;
  std::unique_ptr<Stream> stream;
};

TEST_CASE("who does not ask, or is elsewhere, is offered nothing") {
  Fixture f;
  AskingStream elsewhere(f, "another host");
  REQUIRE(elsewhere.Metadata(kSharedMemoryKey).empty());
  REQUIRE_THAT(elsewhere.Metadata(kNoSharedMemoryKey),
               Catch::Contains("same machine"));
  Fixture off(ShmUse::kOff);
  AskingStream refused(off, ShmHostId());
  REQUIRE(refused.Metadata(kSharedMemoryKey).empty());
  REQUIRE_THAT(refused.Metadata(kNoSharedMemoryKey),
               Catch::Contains("--shared_memory=off"));
  // Calls work as ever.
  v1::PushPullRequest request = f.Request({0, 4});
  request.set_payload(
      std::string(AsBytes(MakeGradient(f.server->plan(), 1, 1))));
  for (AskingStream* stream : {&elsewhere, &refused}) {
    REQUIRE(stream->Ask(request).payload().size() == 64);
  }
}

TEST_CASE("shared bytes that are none are refused in words, changing nothing") {
  Fixture f;
  const auto region = SharedRegion::Create(kRegionBytes).value();
  auto* const values = static_cast<float*>(region->Allocate(64).value());
  std::fill(values, values + 16, 1.0F);
  AskingStream stream(f, ShmHostId());
  const auto refused = [&](uint64_t offset, uint64_t length) {
    v1::PushPullRequest request = f.Request({0, 4});
    request.mutable_shared()->set_offset(offset);
    request.mutable_shared()->set_length(length);
    return stream.Refusal(request);
  };
  const uint64_t before = f.server->store().StateHash();
  REQUIRE_ERROR(refused(0, 64), Code::kFailedPrecondition, "send the bytes");
  const auto link = stream.Connect(region.get());
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  for (const auto& [offset, length] :
       {std::pair<uint64_t, uint64_t>{kRegionBytes, 64},
        {kRegionBytes - 63, 64},
        {kMax, 64},
        {kMax - 63, 64},
        {64, kMax},
        {0, kRegionBytes + 1},
        {0, 60},
        {0, 0},
        {0, 68}}) {
    CAPTURE(offset, length);
    REQUIRE_ERROR(refused(offset, length), Code::kInvalidArgument);
  }
  v1::PushPullRequest request = f.Request({0, 4});
  request.mutable_shared()->set_length(64);
  request.set_payload("both");
  REQUIRE_ERROR(stream.Refusal(request), Code::kInvalidArgument, "both");
  request.clear_payload();
  request.set_part(v1::PART_PULL);
  request.set_version(0);
  REQUIRE_ERROR(stream.Refusal(request), Code::kInvalidArgument, "PART_PULL");
  values[5] = std::nanf("");
  REQUIRE_ERROR(refused(0, 64), Code::kInvalidArgument, "block 1", "5");
  REQUIRE(f.server->store().StateHash() == before);
  values[5] = 1;

  request = f.Request({0, 4});
  request.mutable_shared()->set_length(64);
  const v1::PushPullResponse answer = stream.Ask(request);
  REQUIRE(answer.outcome() == v1::PUSH_OUTCOME_COMPLETED);
  REQUIRE(answer.payload().empty());
  REQUIRE_OK(
      link->view().Bytes(answer.shared().offset(), answer.shared().length()));
  REQUIRE(answer.shared().length() == 64);
  REQUIRE(link->Valid());
}

TEST_CASE("what was lent stays until it is released, or the stream ends") {
  Fixture f;
  auto stream = std::make_unique<AskingStream>(f, ShmHostId());
  // A client that only reads has no region.
  const auto link = stream->Connect(nullptr);
  v1::PushPullRequest pull = f.Request({});
  pull.set_part(v1::PART_PULL);
  // Three blocks, so six answers at a time.
  for (uint64_t id = 1; id <= 6; ++id) {
    pull.set_request_id(id);
    REQUIRE(stream->Ask(pull).has_shared());
  }
  pull.set_request_id(7);
  REQUIRE_FALSE(stream->Ask(pull).has_shared());
  // Released by a message of its own, and along with a call; those that were
  // not lent do no harm.
  v1::PushPullRequest release;
  release.add_released(3);
  release.add_released(3);
  release.add_released(99);
  REQUIRE(stream->stream->Write(release));
  pull.set_request_id(8);
  REQUIRE(stream->Ask(pull).has_shared());
  pull.set_request_id(9);
  REQUIRE_FALSE(stream->Ask(pull).has_shared());
  pull.set_request_id(10);
  pull.add_released(1);
  REQUIRE(stream->Ask(pull).has_shared());
  pull.clear_released();
  // A name that is in use, and none at all.
  pull.add_released(2);
  pull.set_request_id(10);
  REQUIRE_FALSE(stream->Ask(pull).has_shared());
  pull.set_request_id(0);
  REQUIRE_FALSE(stream->Ask(pull).has_shared());
  REQUIRE(link->Valid());
  stream.reset();
  // Waits until nothing is lent any more.
  f.server->Shutdown();
  REQUIRE_FALSE(link->Valid());
}

}  // namespace
}  // namespace tessera
