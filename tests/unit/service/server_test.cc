#include "server/service/server.h"

#include <grpcpp/grpcpp.h>

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <thread>

#include "common/rpc/call_status.h"
#include "tessera/v1/admin.grpc.pb.h"
#include "tessera/v1/coordinator.grpc.pb.h"
#include "tessera/v1/parameter.grpc.pb.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "tests/unit/service/push_messages.h"

namespace tessera {
namespace {

using Code = absl::StatusCode;

std::shared_ptr<grpc::Channel> ChannelTo(const Server& server) {
  return grpc::CreateChannel(server.address(),
                             grpc::InsecureChannelCredentials());
}

std::unique_ptr<Server> Start(const ServerOptions& options) {
  auto server = Server::Start(
      MakeTestJob({.parameters = 40, .microbatches = 2}), options);
  REQUIRE_OK(server);
  return *std::move(server);
}

// Lets workers join that take all there is and do nothing; returns one that got
// nothing.
uint64_t LeaseAll(v1::CoordinatorService::Stub& coordinator) {
  v1::GetWorkResponse work;
  uint64_t worker = 0;
  do {
    grpc::ClientContext join_context;
    v1::JoinResponse joined;
    REQUIRE_OK(FromGrpcStatus(coordinator.Join(&join_context, {}, &joined)));
    worker = joined.worker_id();
    v1::GetWorkRequest request;
    request.set_worker_id(worker);
    grpc::ClientContext context;
    REQUIRE_OK(FromGrpcStatus(coordinator.GetWork(&context, request, &work)));
  } while (!work.has_none());
  return worker;
}

TEST_CASE("a shard that the job does not have is refused") {
  const Job job = MakeTestJob();
  REQUIRE_ERROR(Server::Start(job, {.shard = 1}), Code::kInvalidArgument,
                "shard 1", "0 to 0");
  REQUIRE_ERROR(Server::Start(job, {.shard = -1}), Code::kInvalidArgument);
  REQUIRE_ERROR(Server::Start(job, {.shard_count = 0}), Code::kInvalidArgument);
  REQUIRE_ERROR(Server::Start(job, {.shard_count = 100}),
                Code::kInvalidArgument, "100");
  REQUIRE_ERROR(Server::Start(job, {.device = "abacus"}),
                Code::kInvalidArgument, "abacus");
  REQUIRE_ERROR(Server::Start(job, {.listen = "0.0.0.0:0"}),
                Code::kFailedPrecondition, "--insecure_network");
}

TEST_CASE("only shard 0's server coordinates; others say whom to ask") {
  const auto server = Start({.shard = 1, .shard_count = 2});
  const auto coordinator = v1::CoordinatorService::NewStub(ChannelTo(*server));
  grpc::ClientContext join_context;
  v1::JoinResponse joined;
  REQUIRE_ERROR(FromGrpcStatus(coordinator->Join(&join_context, {}, &joined)),
                Code::kFailedPrecondition, "holds shard 1", "shard 0's");
  grpc::ClientContext work_context;
  v1::GetWorkResponse work;
  REQUIRE_ERROR(FromGrpcStatus(coordinator->GetWork(&work_context, {}, &work)),
                Code::kFailedPrecondition, "shard 0's");
  const auto admin = v1::AdminService::NewStub(ChannelTo(*server));
  grpc::ClientContext stop_context;
  v1::StopJobResponse stopped;
  REQUIRE_ERROR(FromGrpcStatus(admin->StopJob(&stop_context, {}, &stopped)),
                Code::kFailedPrecondition, "shard 0's");
}

TEST_CASE("a server tells what it owns and has done") {
  const auto server = Start({});
  const Job& job = server->job();
  const auto stub = v1::ParameterService::NewStub(ChannelTo(*server));
  for (int i = 0; i < 2; ++i) {
    auto push =
        MakePushHeader<v1::PushRequest>(job, server->plan(), 2, 0, {0, 1});
    push.set_payload(std::string(AsBytes(MakeGradient(server->plan(), 2, 1))));
    grpc::ClientContext context;
    v1::PushResponse response;
    REQUIRE_OK(FromGrpcStatus(stub->Push(&context, push, &response)));
  }
  grpc::ClientContext pull_context;
  v1::PullResponse pulled;
  REQUIRE_OK(FromGrpcStatus(
      stub->Pull(&pull_context, MakePull(job, server->plan(), 0, 0), &pulled)));

  const auto admin = v1::AdminService::NewStub(ChannelTo(*server));
  grpc::ClientContext context;
  v1::GetServerInfoResponse info;
  REQUIRE_OK(FromGrpcStatus(admin->GetServerInfo(&context, {}, &info)));
  REQUIRE(info.job_fingerprint() == job.fingerprint());
  REQUIRE(info.shard() == 0);
  REQUIRE(info.shard_count() == 1);
  REQUIRE(info.device() == server->device_name());
  REQUIRE(info.first_block() == 0);
  REQUIRE(info.last_block() == 3);
  REQUIRE(info.elements() == 40);
  REQUIRE(info.version_min() == 0);
  REQUIRE(info.version_max() == 0);
  REQUIRE(info.memory().parameter_bytes() == 160);
  REQUIRE(info.traffic_size() == 2);
  REQUIRE(info.traffic(0).worker_id() == 0);
  REQUIRE(info.traffic(0).pulled_bytes() == 64);
  REQUIRE(info.traffic(1).worker_id() == 77);
  REQUIRE(info.traffic(1).pushes() == 2);
  REQUIRE(info.traffic(1).duplicates() == 1);
}

TEST_CASE("a call that waits for work does not outlast the job") {
  const auto server = Start({});
  const auto coordinator = v1::CoordinatorService::NewStub(ChannelTo(*server));
  const uint64_t worker = LeaseAll(*coordinator);
  std::thread waiter([&] {
    v1::GetWorkRequest request;
    request.set_worker_id(worker);
    request.set_wait_ms(60000);
    grpc::ClientContext context;
    v1::GetWorkResponse work;
    coordinator->GetWork(&context, request, &work);
  });
  // All workers leave, and the job is stopped: nobody is left to wait for.
  for (uint64_t id = 1; id <= worker; ++id) {
    v1::LeaveRequest request;
    request.set_worker_id(id);
    grpc::ClientContext context;
    v1::LeaveResponse left;
    coordinator->Leave(&context, request, &left);
  }
  const auto admin = v1::AdminService::NewStub(ChannelTo(*server));
  grpc::ClientContext context;
  v1::StopJobResponse stopped;
  REQUIRE_OK(FromGrpcStatus(admin->StopJob(&context, {}, &stopped)));
  waiter.join();
}

TEST_CASE("a client's deadline ends its wait for work") {
  const auto server = Start({});
  const auto coordinator = v1::CoordinatorService::NewStub(ChannelTo(*server));
  const uint64_t worker = LeaseAll(*coordinator);
  v1::GetWorkRequest request;
  request.set_worker_id(worker);
  request.set_wait_ms(60000);
  v1::GetWorkResponse work;
  grpc::ClientContext context;
  context.set_deadline(
      absl::ToChronoTime(absl::Now() + absl::Milliseconds(50)));
  REQUIRE_ERROR(FromGrpcStatus(coordinator->GetWork(&context, request, &work)),
                Code::kDeadlineExceeded);
  // The destructor would hang on a call that was not ended.
}

}  // namespace
}  // namespace tessera
