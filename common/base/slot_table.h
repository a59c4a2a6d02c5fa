// Values under keys that the table hands out, found without searching.

#ifndef TESSERA_COMMON_BASE_SLOT_TABLE_H_
#define TESSERA_COMMON_BASE_SLOT_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace tessera {

// A key names a slot and the slot's turn, so that a key whose value is gone
// finds nothing, even when the slot holds another value by now. Keys are never
// 0, and may come from anywhere: unknown ones find nothing either. Takes no
// memory once it has held as many values at a time as it ever will. Not
// thread-safe.
template <typename T>
class SlotTable {
 public:
  // Keeps `value`; returns its key.
  uint64_t Add(T value) {
    if (free_.empty()) {
      free_.push_back(static_cast<uint32_t>(slots_.size()));
      slots_.emplace_back();
    }
    const uint32_t index = free_.back();
    free_.pop_back();
    slots_[index].value.emplace(std::move(value));
    return KeyOf(index);
  }

  // The value, until it is taken or the next one is added; null when there is
  // none.
  T* Find(uint64_t key) {
    const auto index = static_cast<uint32_t>(key);
    if (index >= slots_.size() || KeyOf(index) != key) return nullptr;
    std::optional<T>& value = slots_[index].value;
    return value.has_value() ? &*value : nullptr;
  }

  // Takes the value out, if there is one.
  std::optional<T> Take(uint64_t key) {
    T* const found = Find(key);
    if (found == nullptr) return std::nullopt;
    std::optional<T> value(std::in_place, std::move(*found));
    const auto index = static_cast<uint32_t>(key);
    slots_[index].value.reset();
    if (++slots_[index].turn == 0) slots_[index].turn = 1;
    free_.push_back(index);
    return value;
  }

  // Calls visit(key, value) for each value, in no particular order. It must not
  // add or take any.
  template <typename Visit>
  void ForEach(Visit visit) {
    for (uint32_t index = 0; index < slots_.size(); ++index) {
      if (slots_[index].value) visit(KeyOf(index), *slots_[index].value);
    }
  }

  size_t size() const { return slots_.size() - free_.size(); }
  bool empty() const { return size() == 0; }

 private:
  struct Slot {
    uint32_t turn = 1;
    std::optional<T> value;
  };

  uint64_t KeyOf(uint32_t index) const {
    return uint64_t{slots_[index].turn} << 32 | index;
  }

  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
};

}  // namespace tessera

#endif  // TESSERA_COMMON_BASE_SLOT_TABLE_H_
