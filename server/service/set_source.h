// A set of a checkpoint as a shard's store wants it.

#ifndef TESSERA_SERVER_SERVICE_SET_SOURCE_H_
#define TESSERA_SERVER_SERVICE_SET_SOURCE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/job/job.h"
#include "common/plan/shard_plan.h"
#include "common/storage/storage.h"
#include "server/checkpoint/format.h"
#include "server/checkpoint/reader.h"

namespace tessera {

// Whether this job can go on from the set: it is the job's own, or that of one
// that differs in nothing but what does not change results (block_bytes,
// operation). Codes: FAILED_PRECONDITION, naming both.
absl::Status CheckSetOfJob(const CheckpointReader& set, const Job& job);

// Reads ahead, because a set is checked by pieces, which are larger than small
// blocks. Not thread-safe.
class SetSource {
 public:
  // Opens a set of the job under `root`, of which `elements` will be read, by
  // the shard's own plan: the set may be of another. `storage` must outlive the
  // source. Codes: CheckpointReader::Open's, which say that the set is not
  // good; FAILED_PRECONDITION for a set of another job; UNAVAILABLE when `root`
  // is not there or empty, because then its disk may be what is missing.
  static absl::StatusOr<std::unique_ptr<SetSource>> Open(
      Storage& storage, const std::string& root, const SetName& name,
      const Job& job, const Interval& elements);

  // Values of a section from element `first` on; what is asked for one section
  // should go upwards. Codes: CheckpointReader::Read's.
  absl::Status Read(int section, int64_t first, absl::Span<float> values);

 private:
  struct Ahead {
    Interval elements;
    std::vector<float> values;
  };

  SetSource(CheckpointReader reader, const Interval& elements);

  const CheckpointReader reader_;
  const Interval elements_;
  std::vector<Ahead> ahead_;  // By section.
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SERVICE_SET_SOURCE_H_
