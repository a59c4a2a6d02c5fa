#include "server/service/health/watch_call.h"

#include <utility>

#include "common/rpc/completions.h"

namespace tessera {

void WatchCall::Await(const Method& method,
                      grpc::ServerCompletionQueue& queue) {
  auto call = std::make_shared<WatchCall>(method, queue);
  call->end_tag_ = MakeTag([call](bool) { call->OnEnd(); });
  call->context_.AsyncNotifyWhenDone(call->end_tag_);
  method.request(&call->context_, &call->request_, &call->writer_, &queue,
                 MakeTag([call](bool ok) { call->OnBegin(ok); }));
}

void WatchCall::OnBegin(bool ok) {
  if (!ok) {
    // The server is shutting down; this call will have no end either.
    DropTag(end_tag_);
    return;
  }
  token_ = LiveCount::Token(*method_.live_calls);
  Await(method_, queue_);
  writer_.Write(method_.answer(request_),
                MakeTag([self = shared_from_this()](bool written) {
                  self->OnWritten(written);
                }));
  method_.begun(shared_from_this());
}

void WatchCall::OnWritten(bool ok) {
  grpc::ByteBuffer last;
  {
    MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok) return;
    if (!ended_) {
      self_ = shared_from_this();
      return;
    }
    last = last_;
  }
  Finish(last);
}

void WatchCall::OnEnd() {
  std::shared_ptr<WatchCall> self;  // Goes once the lock is released.
  MutexLock lock(&mutex_);
  ended_ = true;
  self.swap(self_);
}

void WatchCall::End(const grpc::ByteBuffer& last) {
  std::shared_ptr<WatchCall> self;
  {
    MutexLock lock(&mutex_);
    if (ended_) return;
    ended_ = true;
    self.swap(self_);
    last_ = last;
    if (writing_) return;
  }
  Finish(last);
}

void WatchCall::Finish(const grpc::ByteBuffer& last) {
  writer_.WriteAndFinish(last, grpc::WriteOptions(), grpc::Status::OK,
                         MakeTag([self = shared_from_this()](bool) {}));
}

}  // namespace tessera
