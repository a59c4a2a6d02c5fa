#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "deploy/ctl/checkpoints.h"
#include "deploy/ctl/commands.h"
#include "deploy/report/safetensors.h"

namespace tessera {

absl::StatusOr<Report> Export(Storage& storage, const std::string& path,
                              const std::string& safetensors_path) {
  TESSERA_ASSIGN_OR_RETURN(const CheckpointReader reader,
                           OpenCheckpoint(storage, path));
  TESSERA_ASSIGN_OR_RETURN(const Job job, JobOfCheckpoint(reader));
  std::vector<float> values(static_cast<size_t>(reader.total_elements()));
  TESSERA_RETURN_IF_ERROR(reader.Read(
      kParameterSection, {0, reader.total_elements()}, absl::MakeSpan(values)));
  TESSERA_RETURN_IF_ERROR(
      WriteSafetensors(safetensors_path, job.layout(), values));
  return Report{
      .text = absl::StrCat(safetensors_path, ": ", values.size(),
                           " parameters in ", job.layout().tensors().size(),
                           " tensors of version ", reader.set().version,
                           " of job \"", job.proto().name(), "\"\n")};
}

}  // namespace tessera
