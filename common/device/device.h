// What a device must supply: memory, streams, events, copies.
//
// cpu/ and cuda/ implement this contract; everything above sees only this
// header, and one suite (tests/contract/device) runs over every implementation.
//
//   host thread   --- Copy, Zero, Record --->  Stream  (work runs in order)
//                                                |
//                 <------- Synchronize ----------+----> Event ----> WaitFor, on
//                                                                another Stream
//
// Error codes, for all methods that return a status:
//   RESOURCE_EXHAUSTED  out of memory; the message gives bytes asked for and,
//                       where the device knows it, bytes free
//   UNAVAILABLE         the device is lost: this and every later call fails
//   INTERNAL            anything else, with the device's own words

#ifndef TESSERA_COMMON_DEVICE_DEVICE_H_
#define TESSERA_COMMON_DEVICE_DEVICE_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace tessera {

class Device;

enum class DeviceKind { kCpu, kCuda };

enum class MemoryKind {
  kDevice,  // What the device's kernels work on. Only a CPU's is readable here.
  kHost,  // This process's memory, pinned: copies to and from it do not block.
};

// Owns a piece of one device's memory; frees it at the end. The contents start
// undefined. Aligned to 64 bytes. Move-only; as thread-safe as a plain pointer.
// Nothing enqueued on a stream may still use it when it is freed, and the
// device must outlive it.
class Memory {
 public:
  Memory() = default;
  // For implementations of Device.
  Memory(Device* device, MemoryKind kind, void* data, size_t bytes)
      : device_(device), kind_(kind), data_(data), bytes_(bytes) {}
  ~Memory();
  Memory(Memory&& other) noexcept;
  Memory& operator=(Memory&& other) noexcept;

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  Device* device_ = nullptr;
  MemoryKind kind_ = MemoryKind::kDevice;
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

// Keeps host memory that came from elsewhere pinned; lets it go at the end. The
// memory and the device must outlive it. Move-only.
class HostPin {
 public:
  HostPin() = default;
  // For implementations of Device.
  HostPin(Device* device, void* data) : device_(device), data_(data) {}
  ~HostPin();
  HostPin(HostPin&& other) noexcept;
  HostPin& operator=(HostPin&& other) noexcept;

 private:
  Device* device_ = nullptr;
  void* data_ = nullptr;
};

// A point in a stream. One that was never recorded counts as passed. Owned by
// the caller; the device must outlive it. Not thread-safe.
class Event {
 public:
  virtual ~Event() = default;

  // Waits, on this thread, until the stream has passed the point.
  virtual absl::Status Synchronize() = 0;
};

// Work for the device, done in the order in which it was enqueued. Work on
// different streams may overlap. Each call may return before its work is done;
// until then the memory it names must stay as it is. An error of earlier work
// may be reported by any later call. The destructor waits for all work. Owned
// by the caller; the device must outlive it. Not thread-safe.
class Stream {
 public:
  virtual ~Stream() = default;

  // Copies between any two places that do not overlap: device memory, pinned or
  // ordinary host memory. Ordinary memory may make the call block.
  virtual absl::Status Copy(void* to, const void* from, size_t bytes) = 0;

  // Fills with zero bytes.
  virtual absl::Status Zero(void* to, size_t bytes) = 0;

  // Moves the event to the end of what is enqueued now. The event must be of
  // this stream's device.
  virtual absl::Status Record(Event& event) = 0;

  // Work enqueued from now on starts only once `event`, as recorded now, has
  // been passed. Does not block this thread.
  virtual absl::Status WaitFor(Event& event) = 0;

  // Waits, on this thread, until everything enqueued is done.
  virtual absl::Status Synchronize() = 0;
};

// One processor with its memory. Thread-safe; outlives all that it makes.
class Device {
 public:
  virtual ~Device() = default;

  virtual DeviceKind kind() const = 0;

  // For people: "cpu", or the GPU's name.
  virtual std::string name() const = 0;

  // `bytes` may be 0, which gives a piece that nobody may look into.
  virtual absl::StatusOr<Memory> Allocate(MemoryKind kind, size_t bytes) = 0;

  // Makes host memory that is not of this device as good as kHost. It must
  // begin and end at a page, or share its last page with no other pinned
  // memory. Devices to which all host memory is alike have nothing to do.
  virtual absl::StatusOr<HostPin> Pin(void* data, size_t bytes);

  // Whether the host's memory at this address is kHost or as good as that. Not
  // for addresses of device memory.
  virtual bool IsPinned(const void* data) const;

  virtual absl::StatusOr<std::unique_ptr<Stream>> CreateStream() = 0;

  virtual absl::StatusOr<std::unique_ptr<Event>> CreateEvent() = 0;

 private:
  friend class HostPin;
  friend class Memory;

  // Gives back what Allocate made. Must not fail, even on a lost device.
  virtual void Free(MemoryKind kind, void* data, size_t bytes) = 0;

  // Undoes Pin. Must not fail either.
  virtual void Unpin(void* data);
};

}  // namespace tessera

#endif  // TESSERA_COMMON_DEVICE_DEVICE_H_
