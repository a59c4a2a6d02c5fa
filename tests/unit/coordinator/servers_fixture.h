// A coordinator under test with two servers that attend, and a worker that does
// all the work.

#ifndef TESSERA_TESTS_UNIT_COORDINATOR_SERVERS_FIXTURE_H_
#define TESSERA_TESTS_UNIT_COORDINATOR_SERVERS_FIXTURE_H_

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/coordinator/coordinator_fixture.h"

namespace tessera {

// Set ids count up from 1000 on; the first is the base of the orders.
inline std::function<uint64_t()> CountSetIds(uint64_t first = 999) {
  return [next = std::make_shared<uint64_t>(first)] { return (*next)++; };
}

inline CoordinatorOptions AttendedOptions(
    std::vector<RestorePoint> restore_points = {}) {
  return {.servers_attend = true,
          .makes_checkpoints = true,
          .restore_points = std::move(restore_points),
          .draw_set_id = CountSetIds(),
          .describe_set = [](int64_t version, uint64_t set_id) {
            return absl::StrCat("checkpoint-", version, "-", set_id);
          }};
}

class ServersFixture : public CoordinatorFixture {
 public:
  // What a server is, as it says itself.
  struct Server {
    uint64_t incarnation = 0;
    int64_t generation = 0;
    uint64_t orders_seen = 0;
    uint64_t capture_ready = 0;
    v1::CaptureResult result;
    v1::RestoreFailure failure;
  };

  explicit ServersFixture(const TestJobOptions& options,
                          const v1::Operation& operation = {},
                          std::vector<RestorePoint> restore_points = {},
                          const v1::Stop& stop = {})
      : CoordinatorFixture(options, stop, operation,
                           AttendedOptions(std::move(restore_points))) {
    for (Server& server : servers) server.incarnation = ++incarnations_;
  }

  v1::AttendRequest Request(int shard) const {
    const Server& server = servers.at(static_cast<size_t>(shard));
    v1::AttendRequest request;
    request.set_job_fingerprint(job.fingerprint());
    request.set_shard(shard);
    request.set_shard_count(2);
    request.set_incarnation(server.incarnation);
    request.set_generation(server.generation);
    request.set_orders_seen(server.orders_seen);
    request.set_capture_ready(server.capture_ready);
    if (server.result.set_id() != 0) {
      *request.mutable_capture_result() = server.result;
    }
    if (server.failure.generation() != 0) {
      *request.mutable_restore_failure() = server.failure;
    }
    return request;
  }

  // Says what the server is, and notes what it is told.
  v1::AttendResponse Say(int shard) {
    const auto orders = coordinator->Attend(Request(shard), now);
    REQUIRE_OK(orders);
    servers.at(static_cast<size_t>(shard)).orders_seen = orders->orders();
    return *orders;
  }

  // Does as it is told, and says so: loads, gets ready.
  void Obey(int shard) {
    const v1::AttendResponse orders = Say(shard);
    Server& server = servers.at(static_cast<size_t>(shard));
    server.generation = orders.generation();
    server.capture_ready = orders.capture().set_id();
    Say(shard);
  }
  void ObeyAll() {
    Say(0);
    Say(1);
    Obey(0);
    Obey(1);
  }

  // Another process takes the shard's place; says nothing yet.
  void Replace(int shard) {
    servers.at(static_cast<size_t>(shard)) = {.incarnation = ++incarnations_};
  }

  // "version 6 set 1000" or "none".
  std::string Capture() {
    const v1::AttendResponse orders = Say(0);
    if (!orders.has_capture()) return "none";
    return absl::StrCat("version ", orders.capture().version(), " set ",
                        orders.capture().set_id());
  }
  uint64_t CaptureSet() { return Say(0).capture().set_id(); }

  void TellFile(int shard, uint64_t set_id) {
    v1::CaptureResult result;
    result.set_set_id(set_id);
    result.mutable_file()->set_shard(shard);
    result.mutable_file()->set_file_bytes(100 + shard);
    servers.at(static_cast<size_t>(shard)).result = result;
    Say(shard);
  }
  void TellFailure(int shard, uint64_t set_id, const std::string& why) {
    v1::CaptureResult result;
    result.set_set_id(set_id);
    result.set_failure(why);
    servers.at(static_cast<size_t>(shard)).result = result;
    Say(shard);
  }
  // All of an attempt that is ready and whose version is reached.
  v1::CheckpointManifest Write() {
    const uint64_t set_id = CaptureSet();
    TellFile(0, set_id);
    TellFile(1, set_id);
    const auto manifest = coordinator->TakeManifest();
    REQUIRE(manifest.has_value());
    coordinator->OnManifestWritten(set_id, absl::OkStatus(), 201, now);
    return *manifest;
  }

  WorkReport At(int64_t version) const {
    return {.have_version = version, .generation = coordinator->generation()};
  }

  // One worker trains up to `version`, is granted that phase too, and
  // evaluates what is due below it with the loss that `loss` gives for a
  // version. Servers obey in between. Ends early if the job does.
  template <typename Loss>
  void TrainTo(WorkerId worker, int64_t version, Loss loss) {
    while (coordinator->steps_done() < version && !coordinator->ended()) {
      const int64_t at = coordinator->steps_done();
      const std::string grant = AskAnew(worker, at);
      if (grant == "none") {  // Held back.
        Obey(0);
        Obey(1);
      } else if (grant.starts_with("evaluation")) {
        ReportAll(worker, at, loss(at));
      } else {
        REQUIRE(grant.starts_with(absl::StrCat("step ", at)));
        coordinator->OnStepApplied(coordinator->generation(), at,
                                   static_cast<double>(at), now);
        AskAnew(worker, at + 1);
      }
    }
    if (!coordinator->ended()) REQUIRE(coordinator->steps_done() == version);
  }
  // Whatever the worker was granted, it did not do it.
  std::string AskAnew(WorkerId worker, int64_t version) {
    WorkReport report = At(version);
    report.gives_up_last = true;
    return Ask(worker, report);
  }
  void TrainTo(WorkerId worker, int64_t version) {
    TrainTo(worker, version, [](int64_t) { return 1.0; });
  }

  void ReportAll(WorkerId worker, int64_t version, double loss) {
    const std::vector<ChunkScore> scores(
        static_cast<size_t>(job.evaluation_chunks()),
        {.loss_sum = loss, .correct = 0});
    REQUIRE_OK(coordinator->ReportEvaluation(worker, coordinator->generation(),
                                             version, 0, scores, now));
  }

  // "shard 2 to come for 12000".
  std::vector<std::string> ServerWaits() const {
    std::vector<std::string> waits;
    const v1::GetStatusResponse status = Status();
    for (const v1::Waiting& wait : status.waiting()) {
      if (!wait.work().starts_with("shard")) continue;
      waits.push_back(absl::StrCat(wait.work(), " for ", wait.waiting_ms()));
    }
    return waits;
  }

  std::array<Server, 2> servers;

 private:
  uint64_t incarnations_ = 100;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_UNIT_COORDINATOR_SERVERS_FIXTURE_H_
