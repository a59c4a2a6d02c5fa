// The calls to one server that have no answer yet, and which are to be sent.

#ifndef TESSERA_WORKER_CLIENT_CALL_QUEUE_H_
#define TESSERA_WORKER_CLIENT_CALL_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "common/base/slot_table.h"
#include "worker/client/block_call.h"

namespace tessera {

// Calls are sent in the order in which they were added; those of a stream that
// broke are sent again in that order, before any that was never sent. Not
// thread-safe.
class CallQueue {
 public:
  using CallPtr = std::shared_ptr<BlockCall>;

  // Gives the call its id; it is to be sent.
  void Add(CallPtr call);

  // Whether there is a call to send, and the next one, which counts as sent;
  // null when there is none.
  bool HasNext();
  CallPtr Next();

  // A call that is answered: takes it out. Null when it was taken before.
  CallPtr Take(uint64_t id);

  // An attempt came to nothing: the call is to be sent again, after those that
  // are to be sent now. Whether it is here.
  bool Repeat(uint64_t id);

  // All attempts came to nothing. How many calls there are.
  size_t RepeatAll();

  // Takes all calls out, in order.
  std::vector<CallPtr> TakeAll();

  // Without an answer.
  size_t size() const { return calls_.size(); }

 private:
  struct Entry {
    CallPtr call;
    uint64_t number;  // In the order in which they were added.
  };

  // All ids, in order.
  std::vector<uint64_t> Ids();

  SlotTable<Entry> calls_;
  std::deque<uint64_t> to_send_;  // Some may have been taken.
  uint64_t last_number_ = 0;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_CLIENT_CALL_QUEUE_H_
