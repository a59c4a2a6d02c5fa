// Images and labels in four IDX files: MNIST and its kin.

#ifndef TESSERA_WORKER_DATA_IDX_DATA_SET_H_
#define TESSERA_WORKER_DATA_IDX_DATA_SET_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/job/job.h"
#include "tessera/v1/job.pb.h"
#include "worker/data/dataset.h"

namespace tessera {

// The facts, from the image files' headers and all labels. `data_dir`, if not
// empty, replaces files.directory(). Codes: as DataSet::Load.
absl::StatusOr<DataSetFacts> ReadIdxFacts(const v1::IdxFiles& files,
                                          const std::string& data_dir);

// Pixels stay in memory as bytes; Gather scales them. Codes: as DataSet::Load.
absl::StatusOr<std::unique_ptr<DataSet>> LoadIdxDataSet(
    const v1::DataSet& data_set, const std::string& data_dir);

}  // namespace tessera

#endif  // TESSERA_WORKER_DATA_IDX_DATA_SET_H_
