#include "common/device/device.h"

#include <utility>

namespace tessera {

Memory::~Memory() {
  if (data_ != nullptr) device_->Free(kind_, data_, bytes_);
}

Memory::Memory(Memory&& other) noexcept
    : device_(other.device_),
      kind_(other.kind_),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

Memory& Memory::operator=(Memory&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(kind_, other.kind_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

HostPin::~HostPin() {
  if (data_ != nullptr) device_->Unpin(data_);
}

HostPin::HostPin(HostPin&& other) noexcept
    : device_(other.device_), data_(std::exchange(other.data_, nullptr)) {}

HostPin& HostPin::operator=(HostPin&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(data_, other.data_);
  return *this;
}

absl::StatusOr<HostPin> Device::Pin(void*, size_t) { return HostPin(); }

bool Device::IsPinned(const void*) const { return true; }

void Device::Unpin(void*) {}

}  // namespace tessera
