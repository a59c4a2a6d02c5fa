#include "common/rpc/completions.h"

#include <atomic>
#include <memory>
#include <utility>

namespace tessera {
namespace {

struct Tag {
  Completion completion;
  // The queue hands tags between threads, but ThreadSanitizer cannot see into
  // Debian's gRPC: this pair of operations shows it.
  std::atomic<bool> handed_over = false;
};

}  // namespace

void* MakeTag(Completion completion) {
  auto tag = std::make_unique<Tag>();
  tag->completion = std::move(completion);
  tag->handed_over.store(true, std::memory_order_release);
  return tag.release();
}

void DropTag(void* tag) { delete static_cast<Tag*>(tag); }

void RunCompletions(grpc::CompletionQueue& queue) {
  void* next;
  bool ok;
  while (queue.Next(&next, &ok)) {
    const std::unique_ptr<Tag> tag(static_cast<Tag*>(next));
    (void)tag->handed_over.load(std::memory_order_acquire);
    tag->completion(ok);
  }
}

}  // namespace tessera
