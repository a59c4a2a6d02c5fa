// A server's shared memory, made as its flag says.

#ifndef TESSERA_SERVER_SERVICE_SERVER_MEMORY_H_
#define TESSERA_SERVER_SERVICE_SERVER_MEMORY_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "common/shm/shm_use.h"
#include "server/service/stream_loans.h"

namespace tessera {

// Memory for a shard whose parameters take `parameter_bytes`. Codes: with kOn,
// FAILED_PRECONDITION when no memory can be shared here, saying why; with
// others none is shared then.
absl::StatusOr<ServerMemory> MakeServerMemory(ShmUse use,
                                              int64_t parameter_bytes);

}  // namespace tessera

#endif  // TESSERA_SERVER_SERVICE_SERVER_MEMORY_H_
