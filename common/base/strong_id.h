// Integers that name things, typed so that one kind cannot pass for another.

#ifndef TESSERA_COMMON_BASE_STRONG_ID_H_
#define TESSERA_COMMON_BASE_STRONG_ID_H_

#include <compare>
#include <cstdint>
#include <utility>

namespace tessera {

// An identifier of the kind that `Tag` stands for. Value 0 means "none".
// Ordered and hashable; a value type, so as thread-safe as a uint64_t.
template <typename Tag>
class StrongId {
 public:
  constexpr StrongId() = default;
  constexpr explicit StrongId(uint64_t value) : value_(value) {}

  constexpr uint64_t value() const { return value_; }
  constexpr bool is_none() const { return value_ == 0; }

  friend constexpr auto operator<=>(StrongId, StrongId) = default;

  template <typename H>
  friend H AbslHashValue(H state, StrongId id) {
    return H::combine(std::move(state), id.value_);
  }

 private:
  uint64_t value_ = 0;
};

// One membership of one worker process in a job; never used twice.
using WorkerId = StrongId<struct WorkerTag>;

}  // namespace tessera

#endif  // TESSERA_COMMON_BASE_STRONG_ID_H_
