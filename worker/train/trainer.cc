#include "worker/train/trainer.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "common/base/status_macros.h"
#include "worker/client/parameter_client.h"
#include "worker/train/work_loop.h"
#include "worker/train/workshop.h"

namespace tessera {
namespace {

constexpr absl::Duration kLeaveTimeout = absl::Seconds(2);

Transport TransportOf(ShmUse use) {
  switch (use) {
    case ShmUse::kAuto:
      return Transport::kAuto;
    case ShmUse::kOn:
      return Transport::kSharedMemory;
    case ShmUse::kOff:
      return Transport::kTcp;
  }
  return Transport::kAuto;
}

void LogSummary(const TrainTimes& times, const ClientTraffic& traffic) {
  const absl::Duration total = times.compute + times.waiting;
  spdlog::info(
      "computed {} microbatches in {:.2f} s, waited for blocks {:.2f} s "
      "({:.1f}% of passes); pushed {:.1f} MB, pulled {:.1f} MB, {} retries",
      times.microbatches, absl::ToDoubleSeconds(times.compute),
      absl::ToDoubleSeconds(times.waiting),
      total > absl::ZeroDuration()
          ? 100 * absl::FDivDuration(times.waiting, total)
          : 0.0,
      static_cast<double>(traffic.pushed_bytes) / 1e6,
      static_cast<double>(traffic.pulled_bytes) / 1e6, traffic.retries);
}

}  // namespace

Trainer::Trainer(TrainerOptions options, CoordinatorClient& coordinator)
    : options_(std::move(options)), coordinator_(coordinator) {}

Trainer::~Trainer() = default;

absl::Status Trainer::Work(const v1::JoinResponse& joined) {
  Workshop* shop;
  {
    MutexLock lock(&mutex_);
    shop = workshop_.get();
  }
  TESSERA_RETURN_IF_ERROR(shop->RenewRegion().status());
  TESSERA_ASSIGN_OR_RETURN(
      std::unique_ptr<ParameterClient> client,
      ParameterClient::Create(shop->plan,
                              {.job_fingerprint = shop->job.fingerprint(),
                               .worker = WorkerId(joined.worker_id()),
                               .servers = options_.servers,
                               .unreachable_after = options_.unreachable_after,
                               .on_outage = options_.on_outage,
                               .security = options_.security,
                               .transport = TransportOf(options_.shared_memory),
                               .region = shop->region,
                               .push_encoding = shop->job.push_encoding(),
                               .pull_encoding = shop->job.pull_encoding(),
                               .tracer = options_.tracer}));
  const int max_samples =
      std::max(shop->job.microbatch_size(), shop->job.chunk_examples());
  TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<Network> network,
                           options_.make_network(shop->job, max_samples,
                                                 {.device = options_.device,
                                                  .tf32 = options_.tf32}));
  WorkLoop loop(coordinator_, *shop, std::move(client), std::move(network),
                joined, options_.tracer);
  absl::Status status = loop.Run();
  LogSummary(loop.times(), loop.traffic());
  return status;
}

void Trainer::Leave(uint64_t worker_id) const {
  v1::LeaveRequest request;
  request.set_worker_id(worker_id);
  // A client of its own, because Stop cancels the other. The lease runs out by
  // itself when this does not get through.
  (void)CoordinatorClient::Create({.server = options_.servers[0],
                                   .unreachable_after = kLeaveTimeout,
                                   .security = options_.security})
      ->Leave(request);
}

absl::Status Trainer::Run() {
  v1::JoinRequest request;
  request.set_label(options_.label);
  while (true) {
    TESSERA_ASSIGN_OR_RETURN(v1::JoinResponse joined,
                             coordinator_.Join(request));
    const uint64_t id = joined.worker_id();
    absl::Cleanup leave = [this, id] { Leave(id); };
    spdlog::info("joined job \"{}\" as worker {} ({})", joined.job().name(), id,
                 options_.label);
    if (request.job_fingerprint() == 0) {
      TESSERA_ASSIGN_OR_RETURN(
          std::unique_ptr<Workshop> workshop,
          Workshop::Create(
              joined, {.servers = static_cast<int>(options_.servers.size()),
                       .data_dir = options_.data_dir,
                       .shared_memory = options_.shared_memory,
                       .device = options_.device}));
      MutexLock lock(&mutex_);
      workshop_ = std::move(workshop);
      request.set_job_fingerprint(joined.job_fingerprint());
    }
    absl::Status status = Work(joined);
    if (!absl::IsNotFound(status)) return status;
    spdlog::warn("worker {} lost its lease; joining again", id);
  }
}

void Trainer::Stop() {
  coordinator_.Cancel();
  MutexLock lock(&mutex_);
  if (workshop_ != nullptr) {
    workshop_->board.Stop(absl::CancelledError("the worker is stopping"));
  }
}

}  // namespace tessera
