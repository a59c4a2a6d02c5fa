// Real gRPC over the loopback interface, spoken by gRPC's and protobuf's own
// stubs: what a client in any language would see.

#include "server/service/endpoint.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "common/device/make_device.h"
#include "common/rpc/call_status.h"
#include "common/rpc/transport.h"
#include "tessera/v1/parameter.grpc.pb.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "tests/unit/service/counting_store.h"
#include "tests/unit/service/push_messages.h"

namespace tessera {
namespace {

using Code = absl::StatusCode;
using Stream =
    grpc::ClientReaderWriter<v1::PushPullRequest, v1::PushPullResponse>;

// Shard 0 of 1, 40 parameters in blocks of 16, 16 and 8, M = 4; and a client
// that knows nothing of us but the .proto files.
class Fixture {
 public:
  Fixture()
      : job(MakeTestJob({.parameters = 40, .microbatches = 4})),
        plan(MakeTestPlan(job, 1)),
        device(MakeDevice("cpu").value()),
        real_store(ShardStore::Create(job, plan, 0, *device).value()),
        store(*real_store),
        endpoint(Endpoint::Start(job, plan, 0, store,
                                 Coordinator::Create(job, {}),
                                 {.device_name = device->name()})
                     .value()),
        channel(grpc::CreateChannel(endpoint->address(),
                                    grpc::InsecureChannelCredentials())),
        stub(v1::ParameterService::NewStub(channel)) {}

  v1::PushPullRequest Request(int block, int64_t step,
                              const MicrobatchRange& range,
                              float value = 1) const {
    auto request =
        MakePushHeader<v1::PushPullRequest>(job, plan, block, step, range);
    request.set_payload(std::string(AsBytes(MakeGradient(plan, block, value))));
    return request;
  }

  absl::Status Push(const v1::PushPullRequest& like) {
    v1::PushRequest request;
    REQUIRE(request.ParseFromString(like.SerializeAsString()));
    grpc::ClientContext context;
    v1::PushResponse response;
    return FromGrpcStatus(stub->Push(&context, request, &response));
  }

  absl::StatusOr<v1::PullResponse> Pull(int block, int64_t version) {
    grpc::ClientContext context;
    v1::PullResponse response;
    const grpc::Status status =
        stub->Pull(&context, MakePull(job, plan, block, version), &response);
    if (!status.ok()) return FromGrpcStatus(status);
    return response;
  }

  Job job;
  ShardPlan plan;
  std::unique_ptr<Device> device;
  std::unique_ptr<ShardStore> real_store;
  CountingStore store;
  std::unique_ptr<Endpoint> endpoint;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::ParameterService::Stub> stub;
};

// Waits for the one operation under way; what the queue says about it.
bool NextOk(grpc::CompletionQueue& queue) {
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  return ok;
}

// One raw unary call: bytes in, bytes out.
absl::StatusOr<std::string> RawCall(Fixture& f, const std::string& method,
                                    const std::string& bytes) {
  grpc::GenericStub stub(f.channel);
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const grpc::Slice slice(bytes);
  auto reader = stub.PrepareUnaryCall(&context, method,
                                      grpc::ByteBuffer(&slice, 1), &queue);
  grpc::ByteBuffer response;
  grpc::Status status;
  reader->StartCall();
  reader->Finish(&response, &status, nullptr);
  NextOk(queue);
  if (!status.ok()) return FromGrpcStatus(status);
  grpc::Slice whole;
  REQUIRE(response.DumpToSingleSlice(&whole).ok());
  return std::string(whole.begin(), whole.end());
}

TEST_CASE("any protobuf client can push and pull") {
  Fixture f;
  const auto before = f.Pull(1, 0);
  REQUIRE_OK(before);
  REQUIRE(before->payload().size() == 64);
  REQUIRE_OK(f.Push(f.Request(1, 0, {0, 2})));

  grpc::ClientContext context;
  v1::PushPullResponse response;
  REQUIRE_OK(FromGrpcStatus(
      f.stub->PushPull(&context, f.Request(1, 0, {2, 4}), &response)));
  REQUIRE(response.version() == 1);
  REQUIRE(response.outcome() == v1::PUSH_OUTCOME_COMPLETED);
  const auto after = f.Pull(1, -1);
  REQUIRE_OK(after);
  REQUIRE(after->version() == 1);
  REQUIRE(after->payload() == response.payload());
  REQUIRE(after->payload() != before->payload());
}

TEST_CASE("malformed requests over the wire change nothing") {
  Fixture f;
  REQUIRE_OK(f.Push(f.Request(0, 0, {0, 1})));
  const uint64_t before = f.store.StateHash();

  v1::PushPullRequest request = f.Request(0, 0, {1, 2});
  request.set_job_fingerprint(3);
  REQUIRE_ERROR(f.Push(request), Code::kFailedPrecondition, "fingerprint");
  REQUIRE_ERROR(f.Push(f.Request(0, 0, {1, 2}, std::nanf(""))),
                Code::kInvalidArgument, "77", "block 0");
  request = f.Request(0, 0, {1, 2});
  request.set_payload("odd");
  REQUIRE_ERROR(f.Push(request), Code::kInvalidArgument, "3", "64");
  request = f.Request(0, 0, {1, 2});
  request.set_block(5);
  REQUIRE_ERROR(f.Push(request), Code::kInvalidArgument, "block 5");
  REQUIRE_ERROR(f.Pull(0, 7), Code::kOutOfRange, "7");
  for (const std::string method : {"Push", "Pull", "PushPull"}) {
    REQUIRE_ERROR(
        RawCall(f, "/tessera.v1.ParameterService/" + method, "\x7a\x7f short"),
        Code::kInvalidArgument, "cannot be parsed");
  }
  REQUIRE_ERROR(RawCall(f, "/tessera.v1.ParameterService/Steal", ""),
                Code::kUnimplemented);
  REQUIRE(f.store.StateHash() == before);
}

TEST_CASE("a message larger than any block is not even taken in") {
  Fixture f;
  const uint64_t before = f.store.StateHash();
  v1::PushPullRequest request = f.Request(0, 0, {0, 1});
  const int64_t limit = MaxMessageBytes(f.job.block_bytes());
  request.set_payload(std::string(static_cast<size_t>(limit), 'x'));
  REQUIRE_ERROR(f.Push(request), Code::kResourceExhausted);

  grpc::ClientContext context;
  const std::unique_ptr<Stream> stream = f.stub->PushPullStream(&context);
  stream->Write(request);
  v1::PushPullResponse response;
  REQUIRE_FALSE(stream->Read(&response));
  REQUIRE_ERROR(FromGrpcStatus(stream->Finish()), Code::kResourceExhausted);
  REQUIRE(f.store.StateHash() == before);
  // The server is as well as before.
  REQUIRE_OK(f.Pull(0, 0));
}

TEST_CASE("calls on a stream overtake each other and fail alone") {
  Fixture f;
  grpc::ClientContext context;
  const std::unique_ptr<Stream> stream = f.stub->PushPullStream(&context);
  // Waits for the second half of block 0.
  v1::PushPullRequest request = f.Request(0, 0, {0, 2});
  request.set_request_id(1);
  REQUIRE(stream->Write(request));
  request = f.Request(1, 0, {0, 4});
  request.set_request_id(2);
  REQUIRE(stream->Write(request));
  v1::PushPullResponse response;
  REQUIRE(stream->Read(&response));
  REQUIRE(response.request_id() == 2);
  REQUIRE(response.payload().size() == 64);

  request = f.Request(2, 0, {1, 3});
  request.set_request_id(3);
  REQUIRE(stream->Write(request));
  REQUIRE(stream->Read(&response));
  REQUIRE(response.request_id() == 3);
  REQUIRE(response.payload().empty());
  REQUIRE_ERROR(FromCallError(response.error()), Code::kInvalidArgument,
                "[1, 3)");

  // The last push, after which nothing more is sent; answers still come.
  request = f.Request(0, 0, {2, 4});
  request.set_request_id(4);
  REQUIRE(stream->Write(request));
  REQUIRE(stream->WritesDone());
  std::set<uint64_t> ids;
  while (stream->Read(&response)) {
    REQUIRE(response.version() == 1);
    ids.insert(response.request_id());
  }
  REQUIRE(ids == std::set<uint64_t>{1, 4});
  REQUIRE_OK(FromGrpcStatus(stream->Finish()));
}

TEST_CASE("a call on a stream may be half of a PushPull") {
  Fixture f;
  grpc::ClientContext context;
  const std::unique_ptr<Stream> stream = f.stub->PushPullStream(&context);
  const auto ask = [&](const v1::PushPullRequest& request) {
    REQUIRE(stream->Write(request));
    v1::PushPullResponse response;
    REQUIRE(stream->Read(&response));
    REQUIRE(response.request_id() == request.request_id());
    return response;
  };
  // A push is answered at once, without values.
  v1::PushPullRequest push = f.Request(1, 0, {0, 2});
  push.set_part(v1::PART_PUSH);
  push.set_request_id(1);
  v1::PushPullResponse response = ask(push);
  REQUIRE(response.outcome() == v1::PUSH_OUTCOME_ADDED);
  REQUIRE(response.version() == 0);
  REQUIRE(response.payload().empty());
  REQUIRE(ask(push).outcome() == v1::PUSH_OUTCOME_DUPLICATE);

  // A pull waits for its version.
  v1::PushPullRequest pull = f.Request(1, 0, {});
  pull.clear_payload();
  pull.set_part(v1::PART_PULL);
  pull.set_version(1);
  pull.set_request_id(2);
  REQUIRE(stream->Write(pull));
  push = f.Request(1, 0, {2, 4});
  push.set_part(v1::PART_PUSH);
  push.set_request_id(3);
  REQUIRE(stream->Write(push));
  for (int i = 0; i < 2; ++i) {
    REQUIRE(stream->Read(&response));
    REQUIRE(response.version() == 1);
    const bool pulled = response.request_id() == 2;
    REQUIRE(response.payload().size() == (pulled ? 64 : 0));
    REQUIRE(response.outcome() == (pulled ? v1::PUSH_OUTCOME_UNSPECIFIED
                                          : v1::PUSH_OUTCOME_COMPLETED));
  }

  // What is no half of anything.
  const auto refused = [&](const v1::PushPullRequest& request) {
    return FromCallError(ask(request).error());
  };
  pull.set_payload("much");
  REQUIRE_ERROR(refused(pull), Code::kInvalidArgument, "PART_PULL", "4 bytes");
  pull.clear_payload();
  pull.set_version(7);
  REQUIRE_ERROR(refused(pull), Code::kOutOfRange, "7");
  push.set_part(static_cast<v1::Part>(9));
  REQUIRE_ERROR(refused(push), Code::kInvalidArgument, "part 9");
  context.TryCancel();
  stream->Finish();
}

TEST_CASE("what only streams have is refused elsewhere") {
  Fixture f;
  const uint64_t before = f.store.StateHash();
  const std::map<std::string, v1::PushPullRequest> requests = [&] {
    std::map<std::string, v1::PushPullRequest> all;
    for (const std::string field : {"part", "version", "shared", "released"}) {
      all[field] = f.Request(0, 0, {0, 4});
    }
    all["part"].set_part(v1::PART_PUSH);
    all["version"].set_version(1);
    all["shared"].mutable_shared();
    all["released"].add_released(1);
    return all;
  }();
  for (const auto& [field, request] : requests) {
    CAPTURE(field);
    grpc::ClientContext context;
    v1::PushPullResponse response;
    REQUIRE_ERROR(
        FromGrpcStatus(f.stub->PushPull(&context, request, &response)),
        Code::kInvalidArgument, field, "only");
  }
  REQUIRE(f.store.StateHash() == before);
}

TEST_CASE("a half-closed stream waits for the answers it owes") {
  Fixture f;
  grpc::ClientContext context;
  const std::unique_ptr<Stream> stream = f.stub->PushPullStream(&context);
  REQUIRE(stream->Write(f.Request(0, 0, {0, 2})));
  REQUIRE(stream->WritesDone());
  REQUIRE(f.store.AwaitWaiting(1));
  REQUIRE_OK(f.Push(f.Request(0, 0, {2, 4})));
  v1::PushPullResponse response;
  REQUIRE(stream->Read(&response));
  REQUIRE_FALSE(stream->Read(&response));
  REQUIRE_OK(FromGrpcStatus(stream->Finish()));
}

TEST_CASE("bytes that are no message end their stream") {
  Fixture f;
  grpc::ClientContext context;
  const std::unique_ptr<Stream> stream = f.stub->PushPullStream(&context);
  REQUIRE(stream->Write(f.Request(0, 0, {0, 1})));
  grpc::GenericStub generic(f.channel);
  grpc::ClientContext raw_context;
  grpc::CompletionQueue queue;
  auto raw = generic.PrepareCall(
      &raw_context, "/tessera.v1.ParameterService/PushPullStream", &queue);
  const auto next = [&queue] { return NextOk(queue); };
  raw->StartCall(nullptr);
  REQUIRE(next());
  const grpc::Slice slice(std::string("\x00\x01", 2));
  raw->Write(grpc::ByteBuffer(&slice, 1), nullptr);
  REQUIRE(next());
  grpc::ByteBuffer answer;
  raw->Read(&answer, nullptr);
  REQUIRE_FALSE(next());
  grpc::Status status;
  raw->Finish(&status, nullptr);
  next();
  REQUIRE_ERROR(FromGrpcStatus(status), Code::kInvalidArgument,
                "cannot be parsed");
  // The other stream does not notice.
  REQUIRE(f.store.AwaitWaiting(1));
  context.TryCancel();
  stream->Finish();
}

TEST_CASE("who cancels, or runs out of time, waits no longer") {
  Fixture f;
  grpc::ClientContext context;
  const std::unique_ptr<Stream> stream = f.stub->PushPullStream(&context);
  for (int block = 0; block < 3; ++block) {
    REQUIRE(stream->Write(f.Request(block, 0, {0, 1})));
  }
  REQUIRE(f.store.AwaitWaiting(3));
  context.TryCancel();
  REQUIRE_ERROR(FromGrpcStatus(stream->Finish()), Code::kCancelled);
  REQUIRE(f.store.AwaitWaiting(0));

  grpc::ClientContext short_context;
  short_context.set_deadline(
      absl::ToChronoTime(absl::Now() + absl::Milliseconds(50)));
  v1::PullResponse response;
  REQUIRE_ERROR(FromGrpcStatus(f.stub->Pull(
                    &short_context, MakePull(f.job, f.plan, 0, 1), &response)),
                Code::kDeadlineExceeded);
  REQUIRE(f.store.AwaitWaiting(0));
}

TEST_CASE("a server that stops ends every wait in words") {
  Fixture f;
  grpc::ClientContext context;
  const std::unique_ptr<Stream> stream = f.stub->PushPullStream(&context);
  v1::PushPullRequest request = f.Request(0, 0, {0, 1});
  request.set_request_id(9);
  REQUIRE(stream->Write(request));
  REQUIRE(f.store.AwaitWaiting(1));
  absl::Status pulled;
  std::thread puller([&] { pulled = f.Pull(1, 1).status(); });
  REQUIRE(f.store.AwaitWaiting(2));
  f.endpoint->Shutdown();
  puller.join();
  REQUIRE_ERROR(pulled, Code::kUnavailable);
  v1::PushPullResponse response;
  REQUIRE(stream->Read(&response));
  REQUIRE(response.request_id() == 9);
  REQUIRE_ERROR(FromCallError(response.error()), Code::kUnavailable);
  REQUIRE_FALSE(stream->Read(&response));
  REQUIRE_ERROR(FromGrpcStatus(stream->Finish()), Code::kUnavailable,
                "stopping");
}

TEST_CASE("an answer that nobody reads does not keep a server from stopping") {
  Fixture f;
  grpc::ClientContext context;
  const std::unique_ptr<Stream> stream = f.stub->PushPullStream(&context);
  for (int64_t step = 0; step < 200; ++step) {
    REQUIRE(stream->Write(f.Request(0, step, {0, 4})));
  }
  f.endpoint->Shutdown();
  context.TryCancel();
  stream->Finish();
}

TEST_CASE("an address that is taken is named, with what to do") {
  Fixture f;
  const auto second = Endpoint::Start(f.job, f.plan, 0, f.store, nullptr,
                                      {.listen = f.endpoint->address()});
  REQUIRE_ERROR(second, Code::kUnavailable, f.endpoint->address(), "--listen");
}

TEST_CASE("the health of services that are none of ours is not known") {
  Fixture f;
  // HealthCheckRequest { service: "x" }.
  const auto health =
      RawCall(f, "/grpc.health.v1.Health/Check", std::string("\x0a\x01x"));
  REQUIRE_ERROR(health, Code::kNotFound, "\"x\"");
}

TEST_CASE("whoever watches the health is told when the server stops") {
  Fixture f;
  grpc::GenericStub generic(f.channel);
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  auto watch =
      generic.PrepareCall(&context, "/grpc.health.v1.Health/Watch", &queue);
  watch->StartCall(nullptr);
  REQUIRE(NextOk(queue));
  const grpc::Slice empty;
  watch->Write(grpc::ByteBuffer(&empty, 1), nullptr);
  REQUIRE(NextOk(queue));
  const auto read = [&] {
    grpc::ByteBuffer answer;
    watch->Read(&answer, nullptr);
    REQUIRE(NextOk(queue));
    grpc::Slice whole;
    REQUIRE(answer.DumpToSingleSlice(&whole).ok());
    return std::string(whole.begin(), whole.end());
  };
  REQUIRE(read() == "\x08\x01");  // SERVING
  std::thread stopper([&] { f.endpoint->Shutdown(absl::Seconds(10)); });
  CHECK(read() == "\x08\x02");  // NOT_SERVING
  grpc::Status status;
  watch->Finish(&status, nullptr);
  NextOk(queue);
  CHECK(status.ok());
  stopper.join();
}

TEST_CASE("a watch that its client has left does not keep a server up") {
  Fixture f;
  grpc::GenericStub generic(f.channel);
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  auto watch =
      generic.PrepareCall(&context, "/grpc.health.v1.Health/Watch", &queue);
  watch->StartCall(nullptr);
  REQUIRE(NextOk(queue));
  const grpc::Slice empty;
  watch->Write(grpc::ByteBuffer(&empty, 1), nullptr);
  REQUIRE(NextOk(queue));
  context.TryCancel();
  grpc::Status status;
  watch->Finish(&status, nullptr);
  NextOk(queue);
  CHECK(status.error_code() == grpc::StatusCode::CANCELLED);
  f.endpoint->Shutdown();
}

TEST_CASE("standard tools can see the server's health and its services") {
  Fixture f;
  // HealthCheckRequest {} -> HealthCheckResponse { status: SERVING }.
  const auto health = RawCall(f, "/grpc.health.v1.Health/Check", "");
  REQUIRE_OK(health);
  REQUIRE(*health == "\x08\x01");

  grpc::GenericStub generic(f.channel);
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  auto stream = generic.PrepareCall(
      &context,
      "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
  const auto next = [&queue] { return NextOk(queue); };
  stream->StartCall(nullptr);
  REQUIRE(next());
  // ServerReflectionRequest { list_services: "" }.
  const grpc::Slice slice(std::string("\x3a\x00", 2));
  stream->Write(grpc::ByteBuffer(&slice, 1), nullptr);
  REQUIRE(next());
  grpc::ByteBuffer answer;
  stream->Read(&answer, nullptr);
  REQUIRE(next());
  grpc::Slice whole;
  REQUIRE(answer.DumpToSingleSlice(&whole).ok());
  const std::string text(whole.begin(), whole.end());
  for (const std::string service :
       {"tessera.v1.ParameterService", "tessera.v1.CoordinatorService",
        "tessera.v1.AdminService", "grpc.health.v1.Health"}) {
    CAPTURE(service);
    REQUIRE(text.find(service) != std::string::npos);
  }
  context.TryCancel();
  grpc::Status status;
  stream->Finish(&status, nullptr);
  next();
}

}  // namespace
}  // namespace tessera
