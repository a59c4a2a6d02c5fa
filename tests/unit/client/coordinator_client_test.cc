#include "worker/client/coordinator_client.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <thread>

#include "tests/support/status.h"
#include "tests/unit/client/test_cluster.h"

namespace tessera {
namespace {

using Code = absl::StatusCode;

TEST_CASE("all calls reach the coordinator") {
  TestCluster cluster({}, 1);
  const auto client =
      CoordinatorClient::Create({.server = cluster.addresses()[0]});
  v1::JoinRequest join;
  join.set_label("me");
  const auto joined = client->Join(join);
  REQUIRE_OK(joined);
  v1::GetWorkRequest get_work;
  get_work.set_worker_id(joined->worker_id());
  get_work.set_have_version(-1);
  get_work.set_request_number(1);
  const auto work = client->GetWork(get_work);
  REQUIRE_OK(work);
  REQUIRE(work->has_train());
  v1::RenewRequest renew;
  renew.set_worker_id(joined->worker_id());
  REQUIRE_OK(client->Renew(renew));
  v1::ReportEvaluationRequest report;
  report.set_worker_id(joined->worker_id());
  report.set_version(-7);
  REQUIRE_ERROR(client->ReportEvaluation(report), Code::kInvalidArgument);
  const auto status = client->GetStatus();
  REQUIRE_OK(status);
  REQUIRE(status->workers_size() == 1);
  REQUIRE(status->workers(0).label() == "me");
  v1::LeaveRequest leave;
  leave.set_worker_id(joined->worker_id());
  REQUIRE_OK(client->Leave(leave));
  REQUIRE_ERROR(client->Renew(renew), Code::kNotFound);
  REQUIRE_OK(client->StopJob({}));
  // Final, so not tried again.
  REQUIRE_ERROR(client->Join(join), Code::kFailedPrecondition, "has ended");
}

TEST_CASE("a coordinator that cannot be reached is named before long") {
  std::string address;
  {
    TestCluster cluster({}, 1);
    address = cluster.addresses()[0];
  }
  const auto client = CoordinatorClient::Create(
      {.server = address, .unreachable_after = absl::Milliseconds(200)});
  REQUIRE_ERROR(client->Join({}), Code::kUnavailable, address,
                "out of reach for 200ms");
}

TEST_CASE("who asks for one attempt is not kept") {
  std::string address;
  {
    TestCluster cluster({}, 1);
    address = cluster.addresses()[0];
  }
  // Longer than the test may take.
  const auto client = CoordinatorClient::Create(
      {.server = address, .unreachable_after = absl::Hours(1), .once = true});
  REQUIRE_ERROR(client->Join({}), Code::kUnavailable, address,
                "does not answer");
  REQUIRE_ERROR(client->GetStatus(), Code::kUnavailable, address);
}

TEST_CASE("a call outlasts a server that comes back") {
  TestCluster cluster({}, 1);
  const auto client =
      CoordinatorClient::Create({.server = cluster.addresses()[0]});
  REQUIRE_OK(client->GetStatus());
  cluster.StopServer(0);
  std::thread starter([&] { cluster.StartServer(0); });
  const auto status = client->GetStatus();
  starter.join();
  REQUIRE_OK(status);
}

TEST_CASE("cancelling ends calls and pauses, and is for good") {
  std::string address;
  {
    TestCluster cluster({}, 1);
    address = cluster.addresses()[0];
  }
  const auto client = CoordinatorClient::Create(
      {.server = address, .unreachable_after = absl::Hours(1)});
  std::thread canceller([&] { client->Cancel(); });
  REQUIRE_ERROR(client->Join({}), Code::kCancelled);
  canceller.join();
  REQUIRE_ERROR(client->GetStatus(), Code::kCancelled);
}

TEST_CASE("a call under way is cancelled") {
  TestCluster cluster({.microbatches = 1}, 1);
  const auto client =
      CoordinatorClient::Create({.server = cluster.addresses()[0]});
  v1::GetWorkRequest request;
  request.set_have_version(-1);
  absl::StatusOr<v1::GetWorkResponse> work;
  // Workers join until there is nothing left to do.
  do {
    request.set_worker_id(client->Join({}).value().worker_id());
    work = client->GetWork(request);
    REQUIRE_OK(work);
  } while (!work->has_none());
  request.set_wait_ms(60000);
  std::thread canceller([&] { client->Cancel(); });
  REQUIRE_ERROR(client->GetWork(request), Code::kCancelled);
  canceller.join();
}

TEST_CASE("credentials that do not do fail every call") {
  const auto client = CoordinatorClient::Create({.server = "10.1.2.3:4"});
  REQUIRE_ERROR(client->Join({}), Code::kFailedPrecondition, "10.1.2.3:4",
                "--insecure_network");
}

}  // namespace
}  // namespace tessera
