// Completion queues whose tags are functions.
//
// A tag holds whatever the function captured, a shared_ptr to its call as a
// rule, until the operation ends: a call lives as long as it has operations
// under way.

#ifndef TESSERA_COMMON_RPC_COMPLETIONS_H_
#define TESSERA_COMMON_RPC_COMPLETIONS_H_

#include <grpcpp/completion_queue.h>

#include <functional>

namespace tessera {

// Called once, on a thread that runs the queue, when an operation ends; `ok` is
// what the queue says about it.
using Completion = std::function<void(bool ok)>;

// The tag to start one operation with.
void* MakeTag(Completion completion);

// Frees a tag that its queue will never return: the notice of the end of a call
// that did not begin.
void DropTag(void* tag);

// Runs completions until the queue is shut down and empty.
void RunCompletions(grpc::CompletionQueue& queue);

}  // namespace tessera

#endif  // TESSERA_COMMON_RPC_COMPLETIONS_H_
