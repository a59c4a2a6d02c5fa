// Another process's SharedRegion, read only.

#ifndef TESSERA_COMMON_SHM_SHARED_VIEW_H_
#define TESSERA_COMMON_SHM_SHARED_VIEW_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/shm/unique_fd.h"

namespace tessera {

// Trusts nothing about its maker but this: the bytes are whatever the other
// side writes, at any moment, also between two reads of the same byte. A
// decision on a value and its use must come from one read, or not matter.
// The region cannot be cut short under a reader. Thread-safe.
class SharedView {
 public:
  // Maps a descriptor that came from another process, and closes it. Codes:
  //   INVALID_ARGUMENT    not an anonymous file that is sealed against
  //                       shrinking (it could be cut short under our feet),
  //                       or empty
  //   OUT_OF_RANGE        larger than `max_bytes`; the message gives both
  //   RESOURCE_EXHAUSTED  it cannot be mapped
  static absl::StatusOr<std::shared_ptr<const SharedView>> Map(
      UniqueFd fd, uint64_t max_bytes);

  ~SharedView();
  SharedView(const SharedView&) = delete;
  SharedView& operator=(const SharedView&) = delete;

  // Any numbers may be given. Valid as long as the view. Code: INVALID_ARGUMENT
  // when it does not lie in the region; names offset, length and size.
  absl::StatusOr<absl::Span<const uint8_t>> Bytes(uint64_t offset,
                                                  uint64_t length) const;

  uint64_t size() const { return bytes_; }

 private:
  SharedView(const uint8_t* data, uint64_t bytes)
      : data_(data), bytes_(bytes) {}

  const uint8_t* const data_;
  const uint64_t bytes_;
};

}  // namespace tessera

#endif  // TESSERA_COMMON_SHM_SHARED_VIEW_H_
