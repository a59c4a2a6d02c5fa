#include "tests/simulation/recovery/cluster.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/device/make_device.h"
#include "server/checkpoint/sets.h"
#include "tests/simulation/recovery/server_process.h"
#include "tests/support/test_job.h"

namespace tessera {

Cluster::Cluster(const Job& the_job, int shard_count, uint64_t seed,
                 bool keep_trace)
    : job(the_job),
      plan(MakeTestPlan(the_job, shard_count)),
      reference(the_job),
      disk(seed),
      device(*MakeDevice("cpu")),
      random(seed),
      trace(keep_trace),
      wire(queue, random),
      servers(static_cast<size_t>(shard_count)) {}

Cluster::~Cluster() = default;

void Cluster::Complain(const std::string& what) {
  if (complaint.empty()) complaint = what;
}

std::shared_ptr<ServerProcess> Cluster::ServerOf(int shard) const {
  return servers[static_cast<size_t>(shard)];
}

void Cluster::CheckBlock(int block, int64_t version,
                         absl::Span<const float> values) {
  const Interval elements = plan.BlockElements(block);
  if (version > job.max_steps()) {
    return Complain(absl::StrCat("version ", version, " is beyond the job"));
  }
  const std::vector<float>& expected = reference.Parameters(version);
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t element = static_cast<size_t>(elements.begin) + i;
    if (values[i] == expected[element]) continue;
    return Complain(absl::StrCat("element ", element, " of version ", version,
                                 " is ", values[i], ", not ",
                                 expected[element]));
  }
}

absl::Status Cluster::CheckSet(const CheckpointReader& set) const {
  const int64_t version = set.set().version;
  std::vector<float> values(static_cast<size_t>(job.layout().total_elements()));
  for (int section = 0; section < 2; ++section) {
    TESSERA_RETURN_IF_ERROR(set.Read(
        section, {0, job.layout().total_elements()}, absl::MakeSpan(values)));
    const std::vector<float>& expected = section == 0
                                             ? reference.Parameters(version)
                                             : reference.Momenta(version);
    if (values == expected) continue;
    return absl::DataLossError(
        absl::StrCat("section ", section, " is not the reference's"));
  }
  return absl::OkStatus();
}

void Cluster::CheckAcknowledged() {
  if (!acknowledged.has_value()) return;
  const auto set = CheckpointReader::Open(
      disk, JoinPath(kCheckpointRoot, SetFolderName(acknowledged->version,
                                                    acknowledged->set_id)));
  const absl::Status status = set.ok() ? CheckSet(*set) : set.status();
  if (status.ok()) return;
  Complain(absl::StrCat("the checkpoint of version ", acknowledged->version,
                        " was acknowledged: ", status.ToString()));
}

void Cluster::CheckHasSetOf(int64_t version) {
  const auto found = FindSets(disk, kCheckpointRoot);
  if (!found.ok()) return Complain(found.status().ToString());
  for (const CheckpointReader& set : found->complete) {
    if (set.set().version == version && CheckSet(set).ok()) return;
  }
  Complain(absl::StrCat("there is no checkpoint of version ", version));
}

}  // namespace tessera
