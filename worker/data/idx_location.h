// Where an IDX data set's four files are.

#ifndef TESSERA_WORKER_DATA_IDX_LOCATION_H_
#define TESSERA_WORKER_DATA_IDX_LOCATION_H_

#include <string>

#include "absl/status/statusor.h"
#include "tessera/v1/job.pb.h"
#include "worker/data/dataset.h"

namespace tessera {

struct IdxPaths {
  std::string images;
  std::string labels;
};

// Paths of the split's files. A file that the job does not name has MNIST's
// name, with or without ".gz". `data_dir`, if not empty, replaces
// files.directory(). Codes: NOT_FOUND, saying what was tried and which package
// or setting provides the file.
absl::StatusOr<IdxPaths> LocateIdxFiles(const v1::IdxFiles& files, Split split,
                                        const std::string& data_dir);

}  // namespace tessera

#endif  // TESSERA_WORKER_DATA_IDX_LOCATION_H_
