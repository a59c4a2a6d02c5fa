#include "worker/train/workshop.h"

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace tessera {
namespace {

// What a shared region has address space for: gradients at a time, of which
// training needs a few, and room for their rounded blocks. What does not fit
// travels over the network.
constexpr uint64_t kGradients = 64;
constexpr uint64_t kRoomBytes = 64 << 20;

}  // namespace

Workshop::Workshop(WorkshopOptions o, Job j, ShardPlan p,
                   std::unique_ptr<DataSet> d)
    : options(std::move(o)),
      job(std::move(j)),
      plan(p),
      data(std::move(d)),
      board(plan, options.device),
      pool(plan.elements(), nullptr, options.device) {}

absl::StatusOr<std::unique_ptr<Workshop>> Workshop::Create(
    const v1::JoinResponse& joined, WorkshopOptions options) {
  TESSERA_ASSIGN_OR_RETURN(Job job, Job::Create(joined.job()));
  if (job.fingerprint() != joined.job_fingerprint()) {
    return absl::FailedPreconditionError(
        "this worker reads the server's job differently (another version of "
        "Tessera?): use the same build on all machines");
  }
  if (options.servers != joined.shard_count()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--servers lists ", options.servers,
                     " addresses where the job runs on ", joined.shard_count(),
                     " servers: list all of them, in shard order"));
  }
  TESSERA_ASSIGN_OR_RETURN(
      ShardPlan plan, ShardPlan::Create(job.layout().total_elements(),
                                        options.servers, job.block_bytes()));
  TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<DataSet> data,
                           DataSet::Load(job.proto().data_set(),
                                         job.proto().seed(), options.data_dir));
  auto shop = absl::WrapUnique(
      new Workshop(std::move(options), std::move(job), plan, std::move(data)));
  TESSERA_RETURN_IF_ERROR(shop->MakeRegion());
  return shop;
}

absl::StatusOr<bool> Workshop::RenewRegion() {
  if (region == nullptr || !region->detached()) return false;
  TESSERA_RETURN_IF_ERROR(MakeRegion());
  return true;
}

absl::Status Workshop::MakeRegion() {
  region = nullptr;
  if (options.shared_memory != ShmUse::kOff) {
    auto made = SharedRegion::Create(
        kGradients * static_cast<uint64_t>(plan.elements()) * sizeof(float) +
        kRoomBytes);
    if (made.ok()) region = *std::move(made);
    if (!made.ok() && options.shared_memory == ShmUse::kOn) {
      return absl::FailedPreconditionError(
          absl::StrCat("--shared_memory=on: ", made.status().message(),
                       "; leave the flag out to go on without"));
    }
  }
  pool.UseRegion(region);
  return absl::OkStatus();
}

}  // namespace tessera
