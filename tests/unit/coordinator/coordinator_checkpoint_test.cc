// When checkpoints are made, of which version, and what becomes of them.

#include <catch2/catch.hpp>

#include "absl/strings/match.h"
#include "tests/unit/coordinator/servers_fixture.h"

namespace tessera {
namespace {

const TestJobOptions kJob{.microbatches = 2,
                          .steps = 40,
                          .test_examples = 10,
                          .evaluation = "every_steps: 10"};

v1::Operation Every(int64_t steps, double seconds = 0) {
  v1::Operation operation;
  operation.mutable_checkpoint()->set_every_steps(steps);
  operation.mutable_checkpoint()->set_every_seconds(seconds);
  operation.mutable_checkpoint()->set_keep(2);
  return operation;
}

struct Checkpointing : ServersFixture {
  explicit Checkpointing(const v1::Operation& operation = Every(6))
      : ServersFixture(kJob, operation), worker(Join()) {
    ObeyAll();
  }

  void TrainTo(int64_t version) { ServersFixture::TrainTo(worker, version); }
  v1::CheckpointStatus Checkpoint() const { return Status().checkpoint(); }
  uint64_t Request() {
    const auto set_id = coordinator->RequestCheckpoint(now);
    REQUIRE_OK(set_id);
    return *set_id;
  }
  // "pending", "version 6 set 1000", or the error.
  std::string Outcome(uint64_t set_id) const {
    const auto outcome = coordinator->OutcomeOf(set_id);
    if (!outcome.has_value()) return "pending";
    if (!outcome->status.ok()) return outcome->status.ToString();
    return absl::StrCat("version ", outcome->version, " set ", outcome->set_id);
  }

  WorkerId worker;
};

struct OnDemand : Checkpointing {
  OnDemand() : Checkpointing(Every(1000)) {}
};

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

TEST_CASE_METHOD(OnDemand, "a checkpoint can be asked for") {
  TrainTo(3);
  const uint64_t set_id = Request();
  REQUIRE(Capture() == absl::StrCat("version 5 set ", set_id));
  REQUIRE(Outcome(set_id) == "pending");
  // Who asks before it is reached gets the same.
  REQUIRE(Request() == set_id);
  TrainTo(5);
  const uint64_t next = Request();
  REQUIRE(next != set_id);
  REQUIRE(Outcome(next) == "pending");
  Write();
  REQUIRE(Outcome(set_id) == absl::StrCat("version 5 set ", set_id));
  REQUIRE(coordinator->OutcomeOf(set_id)->bytes == 201);
  REQUIRE(Capture() == absl::StrCat("version 7 set ", next));
  REQUIRE(absl::StartsWith(Outcome(12345), "NOT_FOUND"));
  REQUIRE(absl::StartsWith(Outcome(0), "NOT_FOUND"));
}

TEST_CASE_METHOD(OnDemand, "who asked is told when it fails") {
  TrainTo(3);
  const uint64_t set_id = Request();
  TrainTo(5);
  TellFailure(0, set_id, "");
  REQUIRE(Outcome(set_id) == "ABORTED: version 5: shard 0: no reason given");
}

TEST_CASE_METHOD(OnDemand, "asking needs servers, and outlives going back") {
  TrainTo(3);
  const uint64_t first = Request();
  TrainTo(5);
  const uint64_t set_id = Request();
  Replace(0);
  Say(0);
  REQUIRE_ERROR(coordinator->RequestCheckpoint(now),
                absl::StatusCode::kUnavailable);
  REQUIRE(absl::StartsWith(Outcome(first), "ABORTED"));
  REQUIRE(Outcome(set_id) == "pending");
  ObeyAll();
  REQUIRE(Capture() == absl::StrCat("version 1 set ", set_id));
}

TEST_CASE_METHOD(OnDemand, "the end is always kept") {
  TrainTo(40);
  REQUIRE(Capture() == "none");
  ReportAll(worker, 40, 1);
  REQUIRE(coordinator->ended());
  REQUIRE(Capture() == "version 40 set 1000");
  REQUIRE(Status().phase() == v1::PHASE_ENDED);
  REQUIRE(Checkpoint().pending_version() == 40);
  Obey(0);
  Obey(1);
  const v1::CheckpointManifest manifest = Write();
  // As of before its own evaluation.
  v1::CoordinatorState state;
  REQUIRE(state.ParseFromString(manifest.coordinator_state()));
  REQUIRE(state.steps_size() == 40);
  REQUIRE(state.evaluations_size() == 3);
  REQUIRE(Capture() == "none");
  REQUIRE(Outcome(Request()) == "version 40 set 1000");
}

TEST_CASE_METHOD(OnDemand, "a last one that fails can be asked for again") {
  TrainTo(40);
  ReportAll(worker, 40, 1);
  const uint64_t set_id = CaptureSet();
  REQUIRE(Request() == set_id);
  TellFailure(1, set_id, "full");
  REQUIRE(Capture() == "none");
  const uint64_t again = Request();
  REQUIRE(Capture() == absl::StrCat("version 40 set ", again));
}

TEST_CASE("no last one is made where a regular one is") {
  Checkpointing f(Every(20));
  f.TrainTo(20);
  f.Write();
  f.TrainTo(40);
  REQUIRE(f.Capture() == "version 40 set 1001");
  f.ReportAll(f.worker, 40, 1);
  REQUIRE(f.coordinator->ended());
  REQUIRE(f.Capture() == "version 40 set 1001");
  f.Write();
  REQUIRE(f.Capture() == "none");
  REQUIRE(f.Checkpoint().written() == 2);
}

TEST_CASE_METHOD(Checkpointing, "one being written at the end comes first") {
  TrainTo(40);
  ReportAll(worker, 40, 1);
  REQUIRE(Capture() == "version 6 set 1000");
  Write();
  REQUIRE(Capture() == "version 40 set 1001");
}

TEST_CASE_METHOD(Checkpointing,
                 "one that the job does not get to is put off to the end") {
  const bool asked = GENERATE(true, false);
  TrainTo(2);
  REQUIRE(Capture() == "version 6 set 1000");
  if (asked) REQUIRE(Request() == 1000);
  coordinator->RequestStop(now);
  REQUIRE(Capture() == "none");
  REQUIRE(Checkpoint().failed() == 0);
  REQUIRE(AskAnew(worker, 3) == "evaluation of 3, chunks [0, 1)");
  if (asked) REQUIRE(Outcome(1000) == "pending");
  ReportAll(worker, 3, 1);
  REQUIRE(Capture() == "version 3 set 1001");
  Obey(0);
  Obey(1);
  Write();
  if (asked) REQUIRE(Outcome(1000) == "version 3 set 1001");
}

TEST_CASE_METHOD(OnDemand, "asked for too late, it is the last one") {
  TrainTo(39);
  const uint64_t set_id = Request();
  REQUIRE(Capture() == "none");
  TrainTo(40);
  ReportAll(worker, 40, 1);
  REQUIRE(Capture() == absl::StrCat("version 40 set ", set_id));
}

TEST_CASE_METHOD(OnDemand, "a job that ends within a step has no last one") {
  TrainTo(3);
  const uint64_t set_id = Request();
  coordinator->RequestStop(now);
  coordinator->Leave(worker, now);
  REQUIRE(coordinator->ended());
  REQUIRE(Capture() == "none");
  REQUIRE(Outcome(set_id) == "ABORTED: the job ended in the middle of step 3");
}

TEST_CASE("without a folder there are none") {
  CoordinatorOptions options = AttendedOptions();
  options.makes_checkpoints = false;
  ServersFixture f(kJob, Every(2));
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

// A loss that first falls, then does not: the plateau depends on what was seen.
double Loss(int64_t version) { return version <= 12 ? 100.0 - version : 90.0; }

struct Plateau : ServersFixture {
  Plateau()
      : ServersFixture({.microbatches = 2,
                        .steps = 400,
                        .test_examples = 10,
                        .evaluation = "every_steps: 4"},
                       Every(6), {}, Stop()) {}

  static v1::Stop Stop() {
    v1::Stop stop;
    stop.mutable_plateau()->set_evaluations(4);
    return stop;
  }
  // Everything that a status says of what was learnt.
  std::string Record() const {
    v1::GetStatusResponse record;
    const v1::GetStatusResponse status = Status();
    record.set_steps_done(status.steps_done());
    record.set_end_reason(status.end_reason());
    *record.mutable_steps() = status.steps();
    *record.mutable_evaluations() = status.evaluations();
    return record.DebugString();
  }
};

TEST_CASE("a job that went back ends as one that did not") {
  Plateau calm;
  calm.ObeyAll();
  calm.TrainTo(calm.Join(), 400, Loss);
  REQUIRE(calm.coordinator->ended());
  // 12 is the best; 16, 20, 24 and 28 are no better.
  REQUIRE(calm.Status().steps_done() == 28);
  REQUIRE(calm.Status().end_reason() == v1::END_REASON_PLATEAU);

  Plateau f;
  // Between checkpoints of 6, 12, 18 and 24: a set is written once its version
  // is reached, and used `later` steps on.
  const int64_t checkpoint = GENERATE(6, 12, 18, 24);
  const int64_t later = GENERATE(0, 1, 3);
  CAPTURE(checkpoint, later);
  f.ObeyAll();
  const WorkerId a = f.Join();
  for (int64_t at = 6; at <= checkpoint; at += 6) {
    f.TrainTo(a, at, Loss);
    REQUIRE(f.Write().version() == at);
  }
  f.TrainTo(a, checkpoint + later, Loss);
  f.Replace(GENERATE(0, 1));
  f.ObeyAll();
  REQUIRE(f.coordinator->steps_done() == checkpoint);
  f.TrainTo(a, 400, Loss);
  REQUIRE(f.Record() == calm.Record());
}

TEST_CASE("a coordinator started anew ends as one that was not") {
  Plateau calm;
  calm.ObeyAll();
  calm.TrainTo(calm.Join(), 400, Loss);

  Plateau f;
  f.ObeyAll();
  const WorkerId a = f.Join();
  const int64_t checkpoint = GENERATE(6, 12, 18, 24);
  CAPTURE(checkpoint);
  v1::CheckpointManifest manifest;
  for (int64_t at = 6; at <= checkpoint; at += 6) {
    f.TrainTo(a, at, Loss);
    manifest = f.Write();
  }
  RestorePoint point{.version = manifest.version(),
                     .set_id = manifest.set_id()};
  REQUIRE(point.state.ParseFromString(manifest.coordinator_state()));
  f.coordinator = Coordinator::Create(
      f.job, CoordinatorFixture::Complete(AttendedOptions({point})));
  f.Replace(0);
  f.ObeyAll();
  REQUIRE(f.coordinator->generation() == 2);
  f.TrainTo(f.Join(), 400, Loss);
  REQUIRE(f.Record() == calm.Record());
}

}  // namespace
}  // namespace tessera
