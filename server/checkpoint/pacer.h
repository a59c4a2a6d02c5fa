// Keeps the writing of checkpoints from taking the disk and the memory bus away
// from training.

#ifndef TESSERA_SERVER_CHECKPOINT_PACER_H_
#define TESSERA_SERVER_CHECKPOINT_PACER_H_

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace tessera {

// Asked before every piece that is written.
class Pacer {
 public:
  virtual ~Pacer() = default;

  // Returns when `bytes` more may be written. An error ends the writing, which
  // returns it: CANCELLED for a server that shuts down.
  virtual absl::Status Admit(int64_t bytes) = 0;
};

// As fast as it goes.
class NoPacer : public Pacer {
 public:
  absl::Status Admit(int64_t) override { return absl::OkStatus(); }
};

// At most so many bytes in a second, evenly: after n bytes the next come n /
// rate later. A writer that was slower than that has no claim to catch up. Not
// thread-safe.
class RatePacer : public Pacer {
 public:
  struct Options {
    int64_t bytes_per_second = 0;  // Above 0.
    std::function<absl::Time()> now;
    // Returns at that time, or earlier with an error.
    std::function<absl::Status(absl::Time)> wait_until;
  };
  explicit RatePacer(Options options);

  absl::Status Admit(int64_t bytes) override;

 private:
  const Options options_;
  absl::Time next_ = absl::InfinitePast();
};

}  // namespace tessera

#endif  // TESSERA_SERVER_CHECKPOINT_PACER_H_
