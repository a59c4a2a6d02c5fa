#include "server/shard/block_state.h"

#include <utility>

#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/tensor/bfloat16.h"

namespace tessera {

absl::StatusOr<VersionBuffers> BlockState::MakeBuffers(size_t elements) const {
  VersionBuffers buffers;
  TESSERA_ASSIGN_OR_RETURN(buffers.values,
                           memory_.values->Get(elements * sizeof(float)));
  if (pull_encoding_ != v1::ENCODING_FLOAT32) {
    TESSERA_ASSIGN_OR_RETURN(
        buffers.encoded,
        memory_.values->Get(elements * BytesPerValue(pull_encoding_)));
  }
  return buffers;
}

void BlockState::Encode(const VersionBuffers& buffers) {
  if (!buffers.encoded) return;
  RoundToBfloat16(
      {buffers.values.floats(), buffers.values.bytes() / sizeof(float)},
      static_cast<uint8_t*>(buffers.encoded.data()));
}

absl::StatusOr<BlockState> BlockState::Create(size_t elements, Fill fill,
                                              v1::Encoding pull_encoding,
                                              const Optimizer& optimizer,
                                              const BlockMemory& memory,
                                              Stream& stream) {
  TESSERA_CHECK(pull_encoding == v1::ENCODING_FLOAT32 ||
                pull_encoding == v1::ENCODING_BFLOAT16);
  BlockState state(pull_encoding, optimizer, memory);
  TESSERA_ASSIGN_OR_RETURN(VersionBuffers buffers, state.MakeBuffers(elements));
  fill({buffers.values.floats(), elements});
  Encode(buffers);
  if (memory.device_values != nullptr) {
    const size_t bytes = buffers.values.bytes();
    TESSERA_ASSIGN_OR_RETURN(state.device_values_,
                             memory.device_values->Get(bytes));
    TESSERA_RETURN_IF_ERROR(
        stream.Copy(state.device_values_.data(), buffers.values.data(), bytes));
  }
  state.newest_.parameters.buffers =
      std::make_shared<const VersionBuffers>(std::move(buffers));
  for (int i = 0; i < optimizer.slot_count(); ++i) {
    const size_t bytes = elements * sizeof(float);
    TESSERA_ASSIGN_OR_RETURN(BufferRef slot, memory.slots->Get(bytes));
    TESSERA_RETURN_IF_ERROR(stream.Zero(slot.data(), bytes));
    state.newest_.slots.push_back(std::move(slot));
  }
  TESSERA_RETURN_IF_ERROR(stream.Synchronize());
  return state;
}

absl::StatusOr<BufferRef> BlockState::UseDeviceValues(
    BlockUpdate& update) const {
  BufferRef fresh;
  if (memory_.device_values == nullptr) return fresh;
  TESSERA_ASSIGN_OR_RETURN(fresh,
                           memory_.device_values->Get(device_values_.bytes()));
  update.host_copy = update.new_parameters;
  update.parameters = device_values_.floats();
  update.new_parameters = fresh.floats();
  return fresh;
}

absl::StatusOr<bool> BlockState::Advance(const GradientSum& gradient) {
  const VersionedValues& from = newest_.parameters;
  TESSERA_ASSIGN_OR_RETURN(VersionBuffers next,
                           MakeBuffers(from.values().size()));
  BlockUpdate update{.step = from.version,
                     .gradient = gradient,
                     .parameters = from.values().data(),
                     .new_parameters = next.values.floats()};
  TESSERA_ASSIGN_OR_RETURN(BufferRef next_device_values,
                           UseDeviceValues(update));
  std::vector<BufferRef> next_slots;
  for (const BufferRef& slot : newest_.slots) {
    TESSERA_ASSIGN_OR_RETURN(BufferRef fresh, memory_.slots->Get(slot.bytes()));
    update.slots.push_back(slot.floats());
    update.new_slots.push_back(fresh.floats());
    next_slots.push_back(std::move(fresh));
  }
  TESSERA_ASSIGN_OR_RETURN(const bool is_finite, optimizer_->Apply(update));
  if (!is_finite) return false;
  Encode(next);
  previous_ = from;
  newest_.parameters = {
      from.version + 1,
      std::make_shared<const VersionBuffers>(std::move(next))};
  newest_.slots = std::move(next_slots);
  device_values_ = std::move(next_device_values);
  return true;
}

}  // namespace tessera
