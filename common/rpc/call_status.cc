#include "common/rpc/call_status.h"

#include <string>

namespace tessera {
namespace {

absl::Status MakeStatus(int code, const std::string& message) {
  const bool known =
      code >= static_cast<int>(absl::StatusCode::kOk) &&
      code <= static_cast<int>(absl::StatusCode::kUnauthenticated);
  return absl::Status(
      known ? static_cast<absl::StatusCode>(code) : absl::StatusCode::kUnknown,
      message);
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.raw_code()),
                      std::string(status.message()));
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  return MakeStatus(status.error_code(), status.error_message());
}

v1::CallError ToCallError(const absl::Status& status) {
  v1::CallError error;
  error.set_code(status.raw_code());
  error.set_message(std::string(status.message()));
  return error;
}

absl::Status FromCallError(const v1::CallError& error) {
  // An error that says OK is none of ours.
  if (error.code() == 0) return MakeStatus(-1, error.message());
  return MakeStatus(error.code(), error.message());
}

bool IsTransportFailure(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kInternal:  // A stream that was reset.
    case absl::StatusCode::kUnknown:   // A stream that was dropped.
      return true;
    default:
      return false;
  }
}

}  // namespace tessera
