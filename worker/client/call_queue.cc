#include "worker/client/call_queue.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace tessera {

void CallQueue::Add(CallPtr call) {
  BlockCall& added = *call;
  const uint64_t id =
      calls_.Add({.call = std::move(call), .number = ++last_number_});
  added.set_id(id);
  to_send_.push_back(id);
}

bool CallQueue::HasNext() {
  while (!to_send_.empty() && calls_.Find(to_send_.front()) == nullptr) {
    to_send_.pop_front();
  }
  return !to_send_.empty();
}

CallQueue::CallPtr CallQueue::Next() {
  if (!HasNext()) return nullptr;
  CallPtr call = calls_.Find(to_send_.front())->call;
  to_send_.pop_front();
  return call;
}

CallQueue::CallPtr CallQueue::Take(uint64_t id) {
  std::optional<Entry> entry = calls_.Take(id);
  return entry.has_value() ? std::move(entry->call) : nullptr;
}

bool CallQueue::Repeat(uint64_t id) {
  if (calls_.Find(id) == nullptr) return false;
  to_send_.push_back(id);
  return true;
}

std::vector<uint64_t> CallQueue::Ids() {
  std::vector<std::pair<uint64_t, uint64_t>> numbered;
  numbered.reserve(calls_.size());
  calls_.ForEach([&numbered](uint64_t id, const Entry& entry) {
    numbered.emplace_back(entry.number, id);
  });
  std::sort(numbered.begin(), numbered.end());
  std::vector<uint64_t> ids;
  ids.reserve(numbered.size());
  for (const auto& [number, id] : numbered) ids.push_back(id);
  return ids;
}

size_t CallQueue::RepeatAll() {
  const std::vector<uint64_t> ids = Ids();
  to_send_.assign(ids.begin(), ids.end());
  return ids.size();
}

std::vector<CallQueue::CallPtr> CallQueue::TakeAll() {
  std::vector<CallPtr> taken;
  for (const uint64_t id : Ids()) taken.push_back(Take(id));
  to_send_.clear();
  return taken;
}

}  // namespace tessera
