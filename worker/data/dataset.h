// Samples to train and test on, all of them in memory.

#ifndef TESSERA_WORKER_DATA_DATASET_H_
#define TESSERA_WORKER_DATA_DATASET_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/job/job.h"
#include "tessera/v1/job.pb.h"

namespace tessera {

enum class Split { kTrain, kTest };

// Samples gathered for a model: `inputs` is [samples, C, H, W] (channels
// first), and of the two target fields the one that the loss needs is filled.
struct Batch {
  absl::Span<float> inputs;
  absl::Span<int32_t> labels;  // [samples], for classification.
  absl::Span<float> targets;   // [samples, outputs], for regression.
};

// Immutable, so thread-safe.
class DataSet {
 public:
  // Loads or generates both splits. `data_dir`, if not empty, replaces the
  // directory that the job names. Codes: NOT_FOUND for a missing file, saying
  // which package or path provides it; INVALID_ARGUMENT for a file that is cut,
  // has a wrong magic number, or counts that disagree with its size or with its
  // labels', naming the file; FAILED_PRECONDITION when the data is not what the
  // job was resolved against.
  static absl::StatusOr<std::unique_ptr<DataSet>> Load(
      const v1::DataSet& data_set, uint64_t seed, const std::string& data_dir);

  virtual ~DataSet() = default;

  virtual int64_t size(Split split) const = 0;

  // Fills `batch`, whose spans have room for exactly `indices`. Every index
  // must be in [0, size(split)).
  virtual void Gather(Split split, absl::Span<const int64_t> indices,
                      const Batch& batch) const = 0;
};

// What the data holds, for ResolveDataSet: reads the files' headers (and the
// training labels, whose highest is classes - 1). Codes: as Load.
absl::StatusOr<DataSetFacts> ReadDataSetFacts(const v1::Job& job,
                                              const std::string& data_dir);

}  // namespace tessera

#endif  // TESSERA_WORKER_DATA_DATASET_H_
