#include "server/shard/block_state.h"

#include <utility>

#include "common/base/status_macros.h"

namespace tessera {

absl::StatusOr<BlockState> BlockState::Create(size_t elements,
                                              const Optimizer& optimizer,
                                              const BlockMemory& memory,
                                              Stream& stream) {
  BlockState state(optimizer, memory);
  const size_t bytes = elements * sizeof(float);
  TESSERA_ASSIGN_OR_RETURN(BufferRef values, memory.values->Get(bytes));
  state.newest_.parameters.values =
      std::make_shared<const BufferRef>(std::move(values));
  for (int i = 0; i < optimizer.slot_count(); ++i) {
    TESSERA_ASSIGN_OR_RETURN(BufferRef slot, memory.slots->Get(bytes));
    TESSERA_RETURN_IF_ERROR(stream.Zero(slot.data(), bytes));
    state.newest_.slots.push_back(std::move(slot));
  }
  TESSERA_RETURN_IF_ERROR(stream.Synchronize());
  return state;
}

absl::Span<float> BlockState::initial_values() {
  const BufferRef& values = *newest_.parameters.values;
  return {values.floats(), values.bytes() / sizeof(float)};
}

absl::StatusOr<std::vector<BufferRef>> BlockState::NextSlots() const {
  std::vector<BufferRef> next;
  for (const BufferRef& slot : newest_.slots) {
    if (slot.IsUnique()) {
      next.push_back(slot);
      continue;
    }
    TESSERA_ASSIGN_OR_RETURN(BufferRef fresh, memory_.slots->Get(slot.bytes()));
    next.push_back(std::move(fresh));
  }
  return next;
}

absl::Status BlockState::Advance(const GradientSum& gradient) {
  const VersionedValues& from = newest_.parameters;
  TESSERA_ASSIGN_OR_RETURN(BufferRef values,
                           memory_.values->Get(from.values->bytes()));
  TESSERA_ASSIGN_OR_RETURN(std::vector<BufferRef> slots, NextSlots());
  BlockUpdate update{.step = from.version,
                     .gradient = gradient,
                     .parameters = from.values->floats(),
                     .new_parameters = values.floats()};
  for (size_t i = 0; i < slots.size(); ++i) {
    update.slots.push_back(newest_.slots[i].floats());
    update.new_slots.push_back(slots[i].floats());
  }
  TESSERA_RETURN_IF_ERROR(optimizer_->Apply(update));
  previous_ = from;
  newest_.parameters = {from.version + 1,
                        std::make_shared<const BufferRef>(std::move(values))};
  newest_.slots = std::move(slots);
  return absl::OkStatus();
}

}  // namespace tessera
