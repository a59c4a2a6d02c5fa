#include "tests/simulation/recovery/cluster.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/device/make_device.h"
#include "server/checkpoint/sets.h"
#include "tests/simulation/recovery/server_process.h"
#include "tests/support/test_job.h"

namespace tessera {
namespace {

std::string NameOfPlace(Place place) {
  return place < kFirstWorker ? absl::StrCat("shard ", place)
                              : absl::StrCat("worker ", place - kFirstWorker);
}

bool SameBits(absl::Span<const float> a, absl::Span<const float> b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Nothing that a check reads can fail, nor brings a fault nearer.
class QuietDisk {
 public:
  explicit QuietDisk(FaultyStorage& disk) : disk_(disk) {
    disk_.set_quiet(true);
  }
  ~QuietDisk() { disk_.set_quiet(false); }
  QuietDisk(const QuietDisk&) = delete;
  QuietDisk& operator=(const QuietDisk&) = delete;

 private:
  FaultyStorage& disk_;
};

}  // namespace

Cluster::Cluster(const Job& the_job, int shard_count, uint64_t seed,
                 bool keep_trace)
    : job(the_job),
      plan(MakeTestPlan(the_job, shard_count)),
      reference(the_job),
      disk(seed),
      device(*MakeDevice("cpu")),
      random(seed),
      trace(keep_trace, NameOfPlace),
      wire(queue, random),
      servers(static_cast<size_t>(shard_count)),
      kept(the_job.checkpoint_policy().keep()) {}

Cluster::~Cluster() = default;

void Cluster::Complain(const std::string& what) {
  Note(-1, absl::StrCat("BROKEN: ", what));
  if (complaint.empty()) complaint = what;
}

void Cluster::Pass(const Process& process, int64_t us) {
  auto is_over = std::make_shared<bool>(false);
  queue.After(us, [is_over] { *is_over = true; });
  const auto goes_on = [&] { return process.alive && complaint.empty(); };
  while (goes_on() && !*is_over) step();
  const int64_t stall = process.stalled_until_us - queue.now_us();
  if (goes_on() && stall > 0) Pass(process, stall);
}

std::shared_ptr<ServerProcess> Cluster::ServerOf(int shard) const {
  return servers[static_cast<size_t>(shard)];
}

void Cluster::CheckBlock(const BlockVersion& block) {
  if (block.version > job.max_steps()) {
    return Complain(
        absl::StrCat("version ", block.version, " is beyond the job"));
  }
  const Interval elements = plan.BlockElements(block.block);
  const absl::Span<const float> expected =
      absl::MakeConstSpan(reference.Parameters(block.version))
          .subspan(static_cast<size_t>(elements.begin),
                   static_cast<size_t>(elements.size()));
  if (SameBits(block.values, expected)) return;
  Complain(absl::StrCat("block ", block.block, " at version ", block.version,
                        " is not the reference's"));
}

void Cluster::CheckStart(int64_t generation, int64_t version, uint64_t set_id) {
  const std::pair start(version, set_id);
  const auto [known, is_new] = starts_.try_emplace(generation, start);
  if (is_new || known->second == start) return;
  Complain(absl::StrCat("generation ", generation, " starts from version ",
                        version, " on one shard and from ", known->second.first,
                        " on another, or from another set of it"));
}

absl::Status Cluster::CheckSet(const CheckpointReader& set) const {
  const int64_t version = set.set().version;
  if (version > job.max_steps()) {
    return absl::DataLossError("its version is beyond the job");
  }
  std::vector<float> values(static_cast<size_t>(job.layout().total_elements()));
  for (int section = 0; section < 2; ++section) {
    TESSERA_RETURN_IF_ERROR(set.Read(
        section, {0, job.layout().total_elements()}, absl::MakeSpan(values)));
    const std::vector<float>& expected = section == 0
                                             ? reference.Parameters(version)
                                             : reference.Momenta(version);
    if (SameBits(values, expected)) continue;
    return absl::DataLossError(
        absl::StrCat("section ", section, " is not the reference's"));
  }
  return absl::OkStatus();
}

void Cluster::CheckKeptSets() {
  const QuietDisk quiet(disk);
  for (const SetName& name : kept.sets()) {
    const auto set = CheckpointReader::Open(
        disk,
        JoinPath(kCheckpointRoot, SetFolderName(name.version, name.set_id)));
    const absl::Status status = set.ok() ? CheckSet(*set) : set.status();
    if (status.ok()) continue;
    Complain(absl::StrCat("the checkpoint of version ", name.version,
                          " was acknowledged: ", status.ToString()));
  }
}

void Cluster::CheckHasSetOf(int64_t version) {
  const QuietDisk quiet(disk);
  const auto found = FindSets(disk, kCheckpointRoot);
  if (!found.ok()) return Complain(found.status().ToString());
  for (const CheckpointReader& set : found->complete) {
    if (set.set().version == version && CheckSet(set).ok()) return;
  }
  Complain(absl::StrCat("there is no checkpoint of version ", version));
}

}  // namespace tessera
