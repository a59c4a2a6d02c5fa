// When checkpoints are made, of which version, and what becomes of them.

#include <catch2/catch.hpp>

#include "tests/unit/coordinator/checkpointing.h"

namespace tessera {
namespace {

TEST_CASE_METHOD(Checkpointing, "a multiple is ordered a few steps ahead") {
  REQUIRE(Capture() == "none");
  TrainTo(1);
  REQUIRE(Capture() == "version 6 set 1000");
  REQUIRE(Checkpoint().pending_version() == 6);
  REQUIRE(Checkpoint().pending_on_size() == 2);
}

TEST_CASE_METHOD(Checkpointing,
                 "the step that leads there waits until all are ready") {
  TrainTo(2);
  const uint64_t set_id = CaptureSet();
  REQUIRE(set_id != 0);
  Ask(worker, At(3));
  Ask(worker, At(4));
  // Step 5 is neither granted ahead nor as the current one.
  REQUIRE(Ask(worker, At(4)) == "none");
  REQUIRE(Ask(worker, At(5)) == "none");
  REQUIRE(coordinator->steps_done() == 5);
  servers[0].capture_ready = set_id;
  Say(0);
  REQUIRE(Ask(worker, At(5)) == "none");
  // Of another set.
  servers[1].capture_ready = set_id + 1;
  Say(1);
  REQUIRE(Ask(worker, At(5)) == "none");
  servers[1].capture_ready = set_id;
  Say(1);
  REQUIRE(Ask(worker, At(5)) == "step 5 [0, 2)");
}

TEST_CASE_METHOD(Checkpointing, "a step far from it is not held up") {
  TrainTo(2);
  REQUIRE(Capture() == "version 6 set 1000");
  REQUIRE(Ask(worker, At(3)) == "step 3 [0, 2)");
  REQUIRE(Ask(worker, At(3)) == "step 4 [0, 2)");
}

TEST_CASE_METHOD(Checkpointing,
                 "a manifest has all that goes with the version") {
  TrainTo(12);
  // Ready for 6, which is over by now; nothing is lost by that.
  const v1::CheckpointManifest manifest = Write();
  REQUIRE(manifest.job_fingerprint() == job.fingerprint());
  REQUIRE(manifest.version() == 6);
  REQUIRE(manifest.set_id() == 1000);
  REQUIRE(manifest.job().empty());
  REQUIRE(manifest.total_elements() == job.layout().total_elements());
  REQUIRE(manifest.files_size() == 2);
  REQUIRE(manifest.files(1).shard() == 1);
  REQUIRE(manifest.files(1).file_bytes() == 101);
  v1::CoordinatorState state;
  REQUIRE(state.ParseFromString(manifest.coordinator_state()));
  REQUIRE(state.steps_size() == 6);
  REQUIRE(state.steps(5).step() == 5);
  REQUIRE(state.evaluations().empty());
  REQUIRE_FALSE(state.has_best_loss());
  const v1::CheckpointStatus status = Checkpoint();
  REQUIRE(status.newest_version() == 6);
  REQUIRE(status.newest_folder() == "checkpoint-6-1000");
  REQUIRE(status.written() == 1);
  REQUIRE(status.failed() == 0);
  REQUIRE(status.bytes() == 201);
}

TEST_CASE_METHOD(Checkpointing,
                 "a manifest is given once, when all is written") {
  TrainTo(5);
  Obey(0);
  Obey(1);
  const uint64_t set_id = CaptureSet();
  TellFile(0, set_id);
  REQUIRE_FALSE(coordinator->TakeManifest().has_value());
  TellFile(1, set_id);
  // The version is not known to be complete.
  REQUIRE_FALSE(coordinator->TakeManifest().has_value());
  TrainTo(6);
  REQUIRE(Checkpoint().pending_on(0) == "the manifest");
  REQUIRE(coordinator->TakeManifest().has_value());
  REQUIRE_FALSE(coordinator->TakeManifest().has_value());
  REQUIRE(Checkpoint().newest_version() == -1);
  coordinator->OnManifestWritten(set_id, absl::OkStatus(), 1, now);
  REQUIRE(Checkpoint().newest_version() == 6);
  REQUIRE(Checkpoint().pending_version() == -1);
}

TEST_CASE_METHOD(Checkpointing,
                 "multiples that come while one is written go by") {
  TrainTo(20);
  REQUIRE(Capture() == "version 6 set 1000");
  Write();
  REQUIRE(Capture() == "version 24 set 1001");
}

TEST_CASE_METHOD(Checkpointing, "when one shard fails, training goes on") {
  TrainTo(6);
  const uint64_t set_id = CaptureSet();
  TellFile(0, set_id);
  TellFailure(1, set_id, "no space left");
  REQUIRE(Capture() == "none");
  REQUIRE(Checkpoint().failed() == 1);
  REQUIRE(Checkpoint().last_failure() == "version 6: shard 1: no space left");
  REQUIRE_FALSE(coordinator->TakeManifest().has_value());
  REQUIRE(coordinator->generation() == 1);
  TrainTo(12);
  REQUIRE(Capture() == "version 12 set 1001");
  // What it says of the last one does not concern this one.
  REQUIRE(Write().version() == 12);
  REQUIRE(Checkpoint().failed() == 1);
  REQUIRE(Checkpoint().last_failure().empty());
}

TEST_CASE_METHOD(Checkpointing, "a file of another shard is a failure") {
  TrainTo(6);
  v1::CaptureResult result;
  result.set_set_id(CaptureSet());
  result.mutable_file()->set_shard(0);
  servers[1].result = result;
  Say(1);
  REQUIRE(Checkpoint().last_failure() ==
          "version 6: shard 1 told of the file of shard 0");
}

TEST_CASE_METHOD(Checkpointing,
                 "a manifest that is not written is no checkpoint") {
  TrainTo(6);
  const uint64_t set_id = CaptureSet();
  TellFile(0, set_id);
  TellFile(1, set_id);
  REQUIRE(coordinator->TakeManifest().has_value());
  coordinator->OnManifestWritten(set_id, absl::UnavailableError("disk"), 0,
                                 now);
  REQUIRE(Checkpoint().failed() == 1);
  REQUIRE(Checkpoint().newest_version() == -1);
  REQUIRE(Outcome(set_id) == "ABORTED: version 6: disk");
  Replace(0);
  REQUIRE(Say(0).restore().set_id() == 0);
}

// Ends up in the state that is named.
void Bring(Checkpointing& f, const std::string& state) {
  f.TrainTo(2);
  if (state == "ordered") return;
  if (state == "half ready") {
    f.Obey(0);
    return;
  }
  f.TrainTo(state == "ready" ? 5 : 6);
  if (state == "ready" || state == "writing") return;
  f.TellFile(0, 1000);
  if (state == "half written") return;
  f.TellFile(1, 1000);
  if (state == "written") return;
  REQUIRE(f.coordinator->TakeManifest().has_value());
}

TEST_CASE_METHOD(Checkpointing, "going back gives up an attempt in any state") {
  const std::string state =
      GENERATE(as<std::string>(), "ordered", "half ready", "ready", "writing",
               "half written", "written", "manifest");
  CAPTURE(state);
  Bring(*this, state);
  REQUIRE(Checkpoint().pending_version() == 6);
  const int shard = GENERATE(0, 1);
  Replace(shard);
  const v1::AttendResponse orders = Say(shard);
  REQUIRE_FALSE(orders.has_capture());
  REQUIRE(orders.restore().set_id() == 0);
  REQUIRE(Checkpoint().failed() == 1);
  REQUIRE(Outcome(1000) ==
          "ABORTED: version 6: the servers went back to version 0");
  REQUIRE_FALSE(coordinator->TakeManifest().has_value());
  // Too late for the coordinator, though it may be there.
  coordinator->OnManifestWritten(1000, absl::OkStatus(), 1, now);
  REQUIRE(Checkpoint().newest_version() == -1);
  ObeyAll();
  TrainTo(6);
  REQUIRE(Capture() == "version 6 set 1001");
  REQUIRE(Write().set_id() == 1001);
  Replace(shard);
  REQUIRE(Say(shard).restore().set_id() == 1001);
}

TEST_CASE_METHOD(Checkpointing, "old sets are not fallen back to for ever") {
  TrainTo(6);
  Write();
  TrainTo(12);
  Write();
  TrainTo(18);
  Write();
  // Two are kept: of 12 and of 18.
  Replace(0);
  for (const int64_t version : {18, 12, 0}) {
    const v1::AttendResponse orders = Say(0);
    REQUIRE(orders.restore().version() == version);
    v1::RestoreFailure failure;
    failure.set_generation(orders.generation());
    failure.set_set_id(orders.restore().set_id());
    failure.set_code(static_cast<int>(absl::StatusCode::kDataLoss));
    servers[0].failure = failure;
    Say(0);
  }
}

TEST_CASE("by time, the lowest possible version is taken") {
  Checkpointing f(Every(0, 30));
  f.TrainTo(3);
  f.now += absl::Seconds(29);
  f.coordinator->Renew(f.worker, 0, f.now).IgnoreError();
  REQUIRE_FALSE(f.Checkpoint().pending_version() > 0);
  f.worker = f.Join();
  f.TrainTo(4);
  f.now += absl::Seconds(1);
  // Step 4 is granted, so 5 may be there.
  REQUIRE(f.Capture() == "version 6 set 1000");
  f.TrainTo(6);
  f.now += absl::Seconds(5);
  f.Write();
  REQUIRE(f.Checkpoint().duration_ms() == 5000);
  f.TrainTo(20);
  // Counted from the end of the one before.
  for (int i = 0; i < 5; ++i) {
    f.now += absl::Seconds(5);
    f.Ask(f.worker, f.At(20));
  }
  REQUIRE(f.Capture() == "none");
  f.now += absl::Seconds(5);
  REQUIRE(f.Capture() != "none");
}

TEST_CASE("without a folder there are none") {
  CoordinatorOptions options = AttendedOptions();
  options.makes_checkpoints = false;
  ServersFixture f(kCheckpointingJob, Every(2));
  f.coordinator =
      Coordinator::Create(f.job, CoordinatorFixture::Complete(options));
  f.ObeyAll();
  const WorkerId a = f.Join();
  f.TrainTo(a, 40);
  f.ReportAll(a, 40, 1);
  REQUIRE(f.coordinator->ended());
  REQUIRE(f.Capture() == "none");
  REQUIRE_FALSE(f.Status().checkpoint().enabled());
  REQUIRE_ERROR(f.coordinator->RequestCheckpoint(f.now),
                absl::StatusCode::kFailedPrecondition, "folder");
}

}  // namespace
}  // namespace tessera
