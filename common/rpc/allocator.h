// What the C library's malloc must be told for large network buffers.

#ifndef TESSERA_COMMON_RPC_ALLOCATOR_H_
#define TESSERA_COMMON_RPC_ALLOCATOR_H_

namespace tessera {

// gRPC allocates and frees megabytes for each message it receives. Left alone,
// glibc maps and unmaps them, and touching fresh pages costs more than the
// network does: 6 GB/s become 0.25. After this call freed memory is kept for
// the next message. Call it first thing in main; other C libraries ignore it.
void KeepFreedMemory();

}  // namespace tessera

#endif  // TESSERA_COMMON_RPC_ALLOCATOR_H_
