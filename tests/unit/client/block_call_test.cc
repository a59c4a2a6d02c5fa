#include "worker/client/block_call.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <utility>
#include <vector>

#include "tests/support/status.h"

namespace tessera {
namespace {

// A call that is never sent anywhere.
class Fixture {
 public:
  std::shared_ptr<BlockCall> MakeCall(absl::Span<const float> values) {
    return std::make_shared<BlockCall>(
        BlockCall::Request{.gradient = {.block = 3, .values = values},
                           .version = 1,
                           .elements = values.size(),
                           .done = [this](const absl::Status&) { ++done; }},
        server, callbacks, live);
  }

  ServerIdentity server;
  std::atomic<int> done = 0;
  LiveCount live;
  CallbackQueue callbacks;
  std::shared_ptr<StreamSharing> sharing =
      std::make_shared<StreamSharing>(nullptr, [](StreamSharing::Hurry) {});
};

TEST_CASE("what gRPC sends is the caller's own memory, until it lets go") {
  Fixture f;
  const std::vector<float> values(1000, 1.5F);
  {
    const auto call = f.MakeCall(values);
    REQUIRE_FALSE(call->Hold(*f.sharing).has_value());
    const grpc::ByteBuffer message = call->MakeRequest({}, *f.sharing);
    std::vector<grpc::Slice> slices;
    REQUIRE(message.Dump(&slices).ok());
    REQUIRE(slices.size() == 2);
    REQUIRE(slices[0].size() < 100);
    REQUIRE(slices[1].begin() ==
            reinterpret_cast<const uint8_t*>(values.data()));
    REQUIRE(slices[1].size() == 4000);
    REQUIRE_FALSE(call->named_shared());
    // The result is there, but the memory is still being sent.
    call->Finish(absl::OkStatus());
    REQUIRE(f.done == 0);
  }
  f.live.AwaitNone();
  REQUIRE(f.done == 1);
}

TEST_CASE("a call cannot end while its message is being made") {
  Fixture f;
  const std::vector<float> values(10, 1.5F);
  {
    const auto call = f.MakeCall(values);
    call->Hold(*f.sharing);
    call->Finish(absl::CancelledError("no more"));
    REQUIRE(f.done == 0);
    const grpc::ByteBuffer message = call->MakeRequest({}, *f.sharing);
    REQUIRE(f.done == 0);
  }
  f.live.AwaitNone();
  REQUIRE(f.done == 1);
}

TEST_CASE("an answer that does not fit is none") {
  Fixture f;
  const std::vector<float> values(10, 1.5F);
  std::vector<float> to(10);
  const auto call = f.MakeCall(values);
  v1::PushPullResponse answer;
  answer.set_block(3);
  answer.set_version(1);
  answer.set_encoding(v1::ENCODING_FLOAT32);
  const auto take = [&](size_t bytes) {
    return call->TakeAnswer(
        answer,
        BlockView(FragmentedBytes(
                      {reinterpret_cast<const uint8_t*>(values.data()), bytes}),
                  nullptr));
  };
  REQUIRE_ERROR(take(36), absl::StatusCode::kInternal, "40 bytes", "36 bytes");
  answer.set_version(2);
  REQUIRE_ERROR(take(40), absl::StatusCode::kInternal, "version 2");
  answer.set_version(1);
  answer.set_block(4);
  REQUIRE_ERROR(take(40), absl::StatusCode::kInternal, "block 4");
  answer.set_block(3);
  answer.set_encoding(v1::ENCODING_BFLOAT16);
  REQUIRE_ERROR(take(40), absl::StatusCode::kInternal, "encoding 2");
  call->Finish(absl::OkStatus());
}

}  // namespace
}  // namespace tessera
