#include "common/device/cuda/cuda_errors.h"

#include "absl/strings/str_cat.h"

namespace tessera {
namespace {

// What memory there is, where the device still answers.
std::string FreeMemory() {
  size_t free = 0;
  size_t total = 0;
  if (cudaMemGetInfo(&free, &total) != cudaSuccess) return "";
  return absl::StrCat("; ", free, " of the device's ", total,
                      " bytes are free");
}

}  // namespace

std::string DescribeCudaError(cudaError_t error) {
  return absl::StrCat(cudaGetErrorName(error), " (", static_cast<int>(error),
                      "): ", cudaGetErrorString(error));
}

bool LosesDevice(cudaError_t error) {
  switch (error) {
    case cudaErrorDevicesUnavailable:
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorContextIsDestroyed:
    case cudaErrorSystemNotReady:
      return true;
    default:
      return false;
  }
}

absl::Status CudaErrors::CheckAlive() const {
  const cudaError_t error = lost_;
  if (error == cudaSuccess) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("the GPU is lost to this process, by ",
                   DescribeCudaError(error), "; start it anew"));
}

absl::Status CudaErrors::Check(cudaError_t error, absl::string_view what) {
  if (error == cudaSuccess) return absl::OkStatus();
  if (LosesDevice(error)) {
    cudaError_t none = cudaSuccess;
    lost_.compare_exchange_strong(none, error);
    return CheckAlive();
  }
  // CUDA remembers the error for whoever asks next.
  cudaGetLastError();
  const std::string message =
      absl::StrCat(what, ": ", DescribeCudaError(error));
  if (error == cudaErrorMemoryAllocation) {
    return absl::ResourceExhaustedError(absl::StrCat(message, FreeMemory()));
  }
  return absl::InternalError(message);
}

absl::Status CudaErrors::CheckAllocation(cudaError_t error,
                                         absl::string_view what, size_t bytes) {
  return Check(error, error == cudaSuccess
                          ? std::string()
                          : absl::StrCat("no ", what, " of ", bytes, " bytes"));
}

}  // namespace tessera
