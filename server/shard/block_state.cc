#include "server/shard/block_state.h"

#include <utility>

#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/tensor/bfloat16.h"

namespace tessera {

BlockState::BlockState(v1::Encoding pull_encoding, const Optimizer& optimizer,
                       const BlockMemory& memory)
    : pull_encoding_(pull_encoding), optimizer_(&optimizer), memory_(memory) {
  TESSERA_CHECK(pull_encoding == v1::ENCODING_FLOAT32 ||
                pull_encoding == v1::ENCODING_BFLOAT16);
}

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

absl::Status BlockState::SetValues(size_t elements, int64_t version,
                                   FillSection fill, Stream& stream) {
  TESSERA_ASSIGN_OR_RETURN(VersionBuffers buffers, MakeBuffers(elements));
  TESSERA_RETURN_IF_ERROR(fill(0, {buffers.values.floats(), elements}));
  Encode(buffers);
  if (memory_.device_values != nullptr) {
    const size_t bytes = buffers.values.bytes();
    TESSERA_ASSIGN_OR_RETURN(device_values_, memory_.device_values->Get(bytes));
    TESSERA_RETURN_IF_ERROR(
        stream.Copy(device_values_.data(), buffers.values.data(), bytes));
    // Either may go when a later part fails.
    TESSERA_RETURN_IF_ERROR(stream.Synchronize());
  }
  newest_.parameters = {
      version, std::make_shared<const VersionBuffers>(std::move(buffers))};
  return absl::OkStatus();
}

absl::StatusOr<BufferRef> BlockState::MakeSlot(size_t elements, int section,
                                               FillSection fill,
                                               Stream& stream) const {
  const size_t bytes = elements * sizeof(float);
  TESSERA_ASSIGN_OR_RETURN(BufferRef slot, memory_.slots->Get(bytes));
  if (memory_.device_values == nullptr) {
    TESSERA_RETURN_IF_ERROR(fill(section, {slot.floats(), elements}));
    return slot;
  }
  // By way of memory in which a version will lie later.
  TESSERA_ASSIGN_OR_RETURN(const BufferRef host, memory_.values->Get(bytes));
  TESSERA_RETURN_IF_ERROR(fill(section, {host.floats(), elements}));
  TESSERA_RETURN_IF_ERROR(stream.Copy(slot.data(), host.data(), bytes));
  TESSERA_RETURN_IF_ERROR(stream.Synchronize());
  return slot;
}

absl::StatusOr<BlockState> BlockState::Create(size_t elements, Fill fill,
                                              v1::Encoding pull_encoding,
                                              const Optimizer& optimizer,
                                              const BlockMemory& memory,
                                              Stream& stream) {
  BlockState state(pull_encoding, optimizer, memory);
  const auto fill_parameters = [fill](int, absl::Span<float> values) {
    fill(values);
    return absl::OkStatus();
  };
  TESSERA_RETURN_IF_ERROR(
      state.SetValues(elements, /*version=*/0, fill_parameters, stream));
  for (int i = 0; i < optimizer.slot_count(); ++i) {
    const size_t bytes = elements * sizeof(float);
    TESSERA_ASSIGN_OR_RETURN(BufferRef slot, memory.slots->Get(bytes));
    TESSERA_RETURN_IF_ERROR(stream.Zero(slot.data(), bytes));
    state.newest_.slots.push_back(std::move(slot));
  }
  TESSERA_RETURN_IF_ERROR(stream.Synchronize());
  return state;
}

absl::StatusOr<BlockState> BlockState::Restore(size_t elements, int64_t version,
                                               FillSection fill,
                                               v1::Encoding pull_encoding,
                                               const Optimizer& optimizer,
                                               const BlockMemory& memory,
                                               Stream& stream) {
  BlockState state(pull_encoding, optimizer, memory);
  TESSERA_RETURN_IF_ERROR(state.SetValues(elements, version, fill, stream));
  for (int i = 0; i < optimizer.slot_count(); ++i) {
    TESSERA_ASSIGN_OR_RETURN(BufferRef slot,
                             state.MakeSlot(elements, 1 + i, fill, stream));
    state.newest_.slots.push_back(std::move(slot));
  }
  return state;
}

void BlockState::LetGo() {
  newest_.parameters.buffers.reset();
  newest_.slots.clear();
  previous_.buffers.reset();
  device_values_ = BufferRef();
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
