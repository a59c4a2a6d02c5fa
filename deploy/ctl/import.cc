#include <algorithm>
#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/job/identity.h"
#include "deploy/ctl/checkpoints.h"
#include "deploy/ctl/commands.h"
#include "deploy/report/safetensors.h"
#include "server/checkpoint/manifest.h"
#include "server/checkpoint/writer.h"

namespace tessera {
namespace {

// Parameters as given, optimizer state 0.
class InitialState : public CheckpointSource {
 public:
  explicit InitialState(std::vector<float> parameters)
      : parameters_(std::move(parameters)) {}

  absl::Status Read(int section, const Interval& elements,
                    absl::Span<float> out) override {
    if (section == kParameterSection) {
      std::copy(parameters_.begin() + elements.begin,
                parameters_.begin() + elements.end, out.begin());
    } else {
      std::fill(out.begin(), out.end(), 0.0f);
    }
    return absl::OkStatus();
  }

 private:
  const std::vector<float> parameters_;
};

std::string ShapeText(const std::vector<int64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

// The flat vector, made of just the layout's tensors.
absl::StatusOr<std::vector<float>> Assemble(
    const std::vector<NamedTensor>& tensors, const Layout& layout) {
  std::map<std::string, const NamedTensor*> by_name;
  for (const NamedTensor& tensor : tensors) by_name[tensor.name] = &tensor;
  std::vector<float> values(static_cast<size_t>(layout.total_elements()));
  for (const TensorSpec& spec : layout.tensors()) {
    const auto found = by_name.find(spec.name);
    if (found == by_name.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the job's model has a tensor \"", spec.name,
                       "\", which the file has not"));
    }
    const NamedTensor& tensor = *found->second;
    if (tensor.shape != spec.shape) {
      return absl::InvalidArgumentError(absl::StrCat(
          "tensor \"", spec.name, "\" has shape ", ShapeText(tensor.shape),
          " in the file and ", ShapeText(spec.shape), " in the job's model"));
    }
    std::copy(tensor.values.begin(), tensor.values.end(),
              values.begin() + spec.offset);
    by_name.erase(found);
  }
  if (by_name.empty()) return values;
  return absl::InvalidArgumentError(
      absl::StrCat("the file has a tensor \"", by_name.begin()->first,
                   "\", which the job's model has not"));
}

absl::Status CheckNoSets(Storage& storage, const std::string& root) {
  TESSERA_ASSIGN_OR_RETURN(const FoundSets found, FindSets(storage, root));
  if (found.complete.empty()) return absl::OkStatus();
  return absl::AlreadyExistsError(absl::StrCat(
      root, " holds a checkpoint of version ",
      found.complete.front().set().version,
      " already; initial weights belong in a folder of their own"));
}

}  // namespace

absl::StatusOr<Report> Import(Storage& storage,
                              const std::string& safetensors_path,
                              const std::string& root,
                              const ImportOptions& options) {
  const Job& job = options.job;
  TESSERA_ASSIGN_OR_RETURN(const std::vector<NamedTensor> tensors,
                           ReadSafetensors(safetensors_path));
  auto values = Assemble(tensors, job.layout());
  if (!values.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(safetensors_path, ": ", values.status().message()));
  }
  TESSERA_RETURN_IF_ERROR(MakeFolders(storage, root));
  TESSERA_RETURN_IF_ERROR(CheckNoSets(storage, root));
  const int64_t elements = job.layout().total_elements();
  const ShardHeader header = {.set = {.job_fingerprint = job.fingerprint(),
                                      .version = 0,
                                      .set_id = options.set_id},
                              .elements = {0, elements},
                              .total_elements = elements,
                              .optimizer = OptimizerStateOf(job.proto()),
                              .piece_elements = kDefaultPieceElements};
  InitialState source(*std::move(values));
  NoPacer pacer;
  v1::CheckpointManifest manifest;
  TESSERA_ASSIGN_OR_RETURN(
      *manifest.add_files(),
      WriteShardFile(storage, root, header, source, pacer));
  SetIdentityOf(header.set, manifest);
  manifest.set_job(SerializeJob(job.proto()));
  manifest.set_total_elements(elements);
  manifest.set_written_unix_ms(options.now_unix_ms);
  TESSERA_RETURN_IF_ERROR(WriteManifest(storage, root, manifest));
  return Report{
      .text = absl::StrCat(JoinPath(root, SetFolderName(0, options.set_id)),
                           ": version 0 of job \"", job.proto().name(), "\", ",
                           elements, " parameters\n")};
}

}  // namespace tessera
