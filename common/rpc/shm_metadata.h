// How the two ends of a PushPullStream agree to share memory.
//
//   client                                        server
//   kSharedMemoryKey: ShmHostId()  ----------->   the same host, and allowed?
//   connects, while calls go on    <-----------   kSharedMemoryKey: its offer
//                                     or, at once too,
//                                  <-----------   kNoSharedMemoryKey: why not
//
// A client that does not ask is told nothing. See common/shm/shm_host.h.

#ifndef TESSERA_COMMON_RPC_SHM_METADATA_H_
#define TESSERA_COMMON_RPC_SHM_METADATA_H_

namespace tessera {

inline constexpr char kSharedMemoryKey[] = "tessera-shared-memory";
inline constexpr char kNoSharedMemoryKey[] = "tessera-no-shared-memory";

}  // namespace tessera

#endif  // TESSERA_COMMON_RPC_SHM_METADATA_H_
