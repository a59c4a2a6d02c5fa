#include "worker/data/dataset.h"

#include "absl/status/status.h"
#include "worker/data/generated_data_set.h"
#include "worker/data/idx_data_set.h"

namespace tessera {
namespace {

absl::Status NoSource() {
  return absl::InvalidArgumentError(
      "data_set has no source: set idx or generated_linear");
}

}  // namespace

absl::StatusOr<std::unique_ptr<DataSet>> DataSet::Load(
    const v1::DataSet& data_set, uint64_t seed, const std::string& data_dir) {
  switch (data_set.source_case()) {
    case v1::DataSet::kIdx:
      return LoadIdxDataSet(data_set, data_dir);
    case v1::DataSet::kGeneratedLinear:
      return GenerateLinearDataSet(data_set.generated_linear(), seed);
    case v1::DataSet::SOURCE_NOT_SET:
      break;
  }
  return NoSource();
}

absl::StatusOr<DataSetFacts> ReadDataSetFacts(const v1::Job& job,
                                              const std::string& data_dir) {
  switch (job.data_set().source_case()) {
    case v1::DataSet::kIdx:
      return ReadIdxFacts(job.data_set().idx(), data_dir);
    case v1::DataSet::kGeneratedLinear:
      return FactsOfGeneratedData(job);
    case v1::DataSet::SOURCE_NOT_SET:
      break;
  }
  return NoSource();
}

}  // namespace tessera
