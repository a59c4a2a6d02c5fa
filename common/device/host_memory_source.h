// Where buffers of host memory may come from, other than from a device.

#ifndef TESSERA_COMMON_DEVICE_HOST_MEMORY_SOURCE_H_
#define TESSERA_COMMON_DEVICE_HOST_MEMORY_SOURCE_H_

#include <cstddef>

#include "absl/status/statusor.h"

namespace tessera {

// For example, memory that other processes can read. Thread-safe.
class HostMemorySource {
 public:
  virtual ~HostMemorySource() = default;

  // `bytes` of memory with undefined contents, aligned to 64 bytes; pieces of
  // 64 KiB and more begin at a page. `bytes` may be 0. It stays mapped at its
  // address until the source is destroyed, so a device may pin it
  // (cudaHostRegister) while it holds the source. Codes: RESOURCE_EXHAUSTED
  // when the source is used up; ordinary memory may still be had then.
  virtual absl::StatusOr<void*> Allocate(size_t bytes) = 0;

  // Takes back what Allocate(bytes) gave.
  virtual void Free(void* data, size_t bytes) = 0;
};

}  // namespace tessera

#endif  // TESSERA_COMMON_DEVICE_HOST_MEMORY_SOURCE_H_
