#include "common/rpc/call_status.h"

#include <catch2/catch.hpp>

#include "tests/support/status.h"

namespace tessera {
namespace {

TEST_CASE("every code survives the way through gRPC and through a stream") {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "why");
    REQUIRE(static_cast<int>(ToGrpcStatus(status).error_code()) == code);
    REQUIRE(FromGrpcStatus(ToGrpcStatus(status)) == status);
    REQUIRE(FromCallError(ToCallError(status)) == status);
  }
  REQUIRE(FromGrpcStatus(ToGrpcStatus(absl::OkStatus())).ok());
}

TEST_CASE("codes that do not exist are errors all the same") {
  v1::CallError error;
  error.set_message("odd");
  for (const int code : {0, -3, 17, 1000}) {
    error.set_code(code);
    REQUIRE_ERROR(FromCallError(error), absl::StatusCode::kUnknown, "odd");
  }
}

TEST_CASE("verdicts on a request are never taken for a broken network") {
  REQUIRE(IsTransportFailure(absl::UnavailableError("")));
  REQUIRE(IsTransportFailure(absl::DeadlineExceededError("")));
  REQUIRE(IsTransportFailure(absl::CancelledError("")));
  REQUIRE_FALSE(IsTransportFailure(absl::OkStatus()));
  REQUIRE_FALSE(IsTransportFailure(absl::InvalidArgumentError("")));
  REQUIRE_FALSE(IsTransportFailure(absl::NotFoundError("")));
  REQUIRE_FALSE(IsTransportFailure(absl::FailedPreconditionError("")));
  REQUIRE_FALSE(IsTransportFailure(absl::OutOfRangeError("")));
  REQUIRE_FALSE(IsTransportFailure(absl::ResourceExhaustedError("")));
  REQUIRE_FALSE(IsTransportFailure(absl::UnauthenticatedError("")));
}

}  // namespace
}  // namespace tessera
