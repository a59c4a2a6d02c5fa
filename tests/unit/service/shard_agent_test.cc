#include "server/service/shard_agent.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/base/mutex.h"
#include "common/device/make_device.h"
#include "common/job/identity.h"
#include "server/checkpoint/manifest.h"
#include "server/checkpoint/writer.h"
#include "tests/support/faulty_storage.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "tests/unit/service/locked_storage.h"
#include "tests/unit/service/push_messages.h"

namespace tessera {
namespace {

using Code = absl::StatusCode;

constexpr char kRoot[] = "/sets";
constexpr uint64_t kSet = 0xabc;

// A coordinator whose orders a test gives, and whose requests it sees.
class FakeLink : public CoordinatorLink {
 public:
  absl::StatusOr<v1::AttendResponse> Attend(
      const v1::AttendRequest& request) override {
    MutexLock lock(&mutex_);
    ++calls_;
    last_ = request;
    mutex_.Await([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return interrupted_ || !failure_.ok() ||
             orders_.orders() != request.orders_seen();
    });
    if (interrupted_) {
      interrupted_ = false;
      return absl::CancelledError("interrupted");
    }
    if (!failure_.ok()) return failure_;
    return orders_;
  }
  void Interrupt() override {
    MutexLock lock(&mutex_);
    interrupted_ = true;
    ++interruptions_;
  }
  int interruptions() {
    MutexLock lock(&mutex_);
    return interruptions_;
  }
  void AwaitInterruptions(int count) {
    MutexLock lock(&mutex_);
    mutex_.Await([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return interruptions_ >= count;
    });
  }

  void Order(int64_t generation, int64_t version = 0, uint64_t set_id = 0) {
    MutexLock lock(&mutex_);
    orders_.set_orders(orders_.orders() + 1);
    orders_.set_generation(generation);
    orders_.mutable_restore()->set_version(version);
    orders_.mutable_restore()->set_set_id(set_id);
    orders_.clear_capture();
  }
  void OrderCapture(int64_t version, uint64_t set_id) {
    MutexLock lock(&mutex_);
    orders_.set_orders(orders_.orders() + 1);
    orders_.mutable_capture()->set_version(version);
    orders_.mutable_capture()->set_set_id(set_id);
  }
  // Every call fails from now on, until there is no failure.
  void Fail(const absl::Status& failure) {
    MutexLock lock(&mutex_);
    failure_ = failure;
  }

  // The first request from now on that says so.
  v1::AttendRequest Await(
      const std::function<bool(const v1::AttendRequest&)>& says) {
    MutexLock lock(&mutex_);
    mutex_.Await([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return last_.has_value() && says(*last_);
    });
    return *last_;
  }
  void AwaitCalls(int more) {
    MutexLock lock(&mutex_);
    const int until = calls_ + more;
    mutex_.Await([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return calls_ >= until;
    });
  }
  // Until the latest orders were taken.
  void AwaitSeen() {
    MutexLock lock(&mutex_);
    mutex_.Await([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return last_.has_value() && last_->orders_seen() == orders_.orders();
    });
  }
  void AwaitGeneration(int64_t generation) {
    Await([=](const auto& r) { return r.generation() == generation; });
  }

 private:
  Mutex mutex_;
  v1::AttendResponse orders_ ABSL_GUARDED_BY(mutex_);
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  std::optional<v1::AttendRequest> last_ ABSL_GUARDED_BY(mutex_);
  int calls_ ABSL_GUARDED_BY(mutex_) = 0;
  int interruptions_ ABSL_GUARDED_BY(mutex_) = 0;
  bool interrupted_ ABSL_GUARDED_BY(mutex_) = false;
};

bool HasResult(const v1::AttendRequest& request) {
  return request.has_capture_result();
}

// The only shard of a job with an optimizer that has a slot.
class Fixture {
 public:
  explicit Fixture(const std::string& root = kRoot, int64_t block_bytes = 64)
      : job(MakeTestJob({.parameters = 40,
                         .microbatches = 1,
                         .block_bytes = block_bytes,
                         .optimizer = "sgd { momentum: 0.5 }"})),
        plan(MakeTestPlan(job, 1)),
        faulty(1),
        storage(faulty),
        checkpoint_dir(root) {
    auto made = MakeDevice("cpu");
    REQUIRE_OK(made);
    device = *std::move(made);
    if (!root.empty()) REQUIRE_OK(storage.MakeFolder(root));
    Renew();
  }
  // The agent goes first.
  ~Fixture() { agent.reset(); }

  // A new process: a store that has nothing, and its agent.
  void Renew() {
    agent.reset();
    auto created = ShardStore::Create(job, plan, 0, *device);
    REQUIRE_OK(created);
    store = *std::move(created);
    store->Suspend();
    agent = std::make_unique<ShardAgent>(
        job, plan, *store, link, storage,
        ShardAgentOptions{.identity = {.job_fingerprint = job.fingerprint(),
                                       .incarnation = ++incarnation},
                          .checkpoint_dir = checkpoint_dir,
                          .on_refused = [this](const absl::Status& why) {
                            MutexLock lock(&mutex);
                            refusal = why;
                          }});
    agent->Start();
  }

  absl::Status Push(int block, int64_t step, int64_t generation) {
    const std::vector<float> values =
        MakeGradient(plan, block, static_cast<float>(block + step + 1));
    return store
        ->Push({.block = block,
                .step = step,
                .range = {0, 1},
                .worker = WorkerId(1),
                .generation = generation},
               FragmentedBytes::OfFloats(values))
        .status();
  }
  // Pushes whole steps.
  void Train(int64_t from, int64_t to, int64_t generation) {
    for (int64_t step = from; step < to; ++step) {
      for (int block = 0; block < plan.block_count(); ++block) {
        REQUIRE_OK(Push(block, step, generation));
      }
    }
  }

  // Makes a complete set of `version`, while the shard is trained to it.
  void MakeSet(int64_t from, int64_t version, uint64_t set_id) {
    link.OrderCapture(version, set_id);
    link.Await([=](const auto& r) { return r.capture_ready() == set_id; });
    Train(from, version, store->generation());
    const auto request = link.Await(HasResult);
    REQUIRE(request.capture_result().failure() == "");
    v1::CheckpointManifest manifest;
    SetIdentityOf({.job_fingerprint = job.fingerprint(),
                   .version = version,
                   .set_id = CheckpointSetId(set_id)},
                  manifest);
    manifest.set_job(SerializeJob(job.proto()));
    manifest.set_total_elements(40);
    *manifest.add_files() = request.capture_result().file();
    REQUIRE_OK(WriteManifest(storage, kRoot, manifest));
  }

  const Job job;
  const ShardPlan plan;
  std::unique_ptr<Device> device;
  FaultyStorage faulty;
  LockedStorage storage;
  const std::string checkpoint_dir;
  FakeLink link;
  std::unique_ptr<ShardStore> store;
  uint64_t incarnation = 0;
  Mutex mutex;
  std::optional<absl::Status> refusal;
  std::unique_ptr<ShardAgent> agent;
};

TEST_CASE("a shard serves once it is told where to start") {
  Fixture f;
  const auto first = f.link.Await([](const auto&) { return true; });
  REQUIRE(first.generation() == 0);
  REQUIRE(first.job_fingerprint() == f.job.fingerprint());
  REQUIRE_ERROR(f.Push(0, 0, 1), Code::kUnavailable);
  f.link.Order(1);
  f.link.AwaitGeneration(1);
  REQUIRE_OK(f.Push(0, 0, 1));
}

TEST_CASE("a shard that goes back loses what came after") {
  Fixture f;
  f.link.Order(1);
  f.link.AwaitGeneration(1);
  f.MakeSet(0, 2, kSet);
  // A step later: what is held of the version before counts too.
  f.Train(2, 3, 1);
  const uint64_t at_three = f.store->StateHash();
  f.Train(3, 5, 1);
  f.link.Order(2, 2, kSet);
  f.link.AwaitGeneration(2);
  REQUIRE(f.store->Stats().version_max == 2);
  REQUIRE_ERROR(f.Push(0, 2, 1), Code::kAborted);
  f.Train(2, 3, 2);
  REQUIRE(f.store->StateHash() == at_three);
}

TEST_CASE("a new process goes on from what an old one has written") {
  Fixture f;
  f.link.Order(1);
  f.link.AwaitGeneration(1);
  f.MakeSet(0, 3, kSet);
  f.Train(3, 4, 1);
  const uint64_t at_four = f.store->StateHash();
  f.Renew();
  f.link.Order(2, 3, kSet);
  f.link.AwaitGeneration(2);
  f.Train(3, 4, 2);
  REQUIRE(f.store->StateHash() == at_four);
}

TEST_CASE("a set that cannot be loaded is reported with its code") {
  Fixture f;
  f.link.Order(1);
  f.link.AwaitGeneration(1);
  f.MakeSet(0, 2, kSet);
  const std::string folder =
      JoinPath(kRoot, SetFolderName(2, CheckpointSetId(kSet)));
  int64_t version = 2;
  Code code = Code::kOk;
  SECTION("that is damaged") {
    MutexLock lock(&f.storage.mutex());
    const std::string path = JoinPath(folder, ShardFileName(0, 1));
    std::string contents = f.faulty.Contents(path);
    contents[contents.size() / 2] ^= 1;
    f.faulty.SetContents(path, contents);
    code = Code::kDataLoss;
  }
  SECTION("that never was") {
    version = 4;
    code = Code::kNotFound;
  }
  SECTION("on a disk that fails") {
    MutexLock lock(&f.storage.mutex());
    f.faulty.FailNth(StorageOp::kRead, 1, absl::UnknownError("I/O error"));
    code = Code::kUnknown;
  }
  SECTION("in a folder that is not there") {
    MutexLock lock(&f.storage.mutex());
    f.faulty.FailNth(StorageOp::kList, 1, absl::NotFoundError("no folder"));
    code = Code::kUnavailable;
  }
  f.link.Order(2, version, kSet);
  const auto request = f.link.Await(
      [](const auto& r) { return r.restore_failure().generation() == 2; });
  REQUIRE(request.restore_failure().code() == static_cast<int>(code));
  REQUIRE(request.restore_failure().set_id() == kSet);
  REQUIRE(request.generation() == 1);
  // What it has is of no use to anyone.
  REQUIRE_ERROR(f.Push(0, 2, 2), Code::kUnavailable);
  f.link.Order(3);
  f.link.AwaitGeneration(3);
}

TEST_CASE("a file that cannot be written is reported, and training goes on") {
  Fixture f;
  f.link.Order(1);
  f.link.AwaitGeneration(1);
  std::string words;
  {
    MutexLock lock(&f.storage.mutex());
    SECTION("to a full disk") {
      f.faulty.set_capacity_bytes(100);
      words = "bytes";
    }
    SECTION("because a sync fails") {
      f.faulty.FailNth(StorageOp::kSync, 1, absl::UnknownError("I/O error"));
      words = "I/O error";
    }
  }
  f.link.OrderCapture(2, kSet);
  f.link.Await([](const auto& r) { return r.capture_ready() == kSet; });
  f.Train(0, 4, 1);
  const auto request = f.link.Await(HasResult);
  REQUIRE_FALSE(request.capture_result().has_file());
  REQUIRE(request.capture_result().failure().find(words) != std::string::npos);
  f.Train(4, 6, 1);
}

TEST_CASE("a version that has passed cannot be captured") {
  Fixture f;
  f.link.Order(1);
  f.link.AwaitGeneration(1);
  f.Train(0, 3, 1);
  f.link.OrderCapture(2, kSet);
  const auto request = f.link.Await(HasResult);
  REQUIRE(request.capture_result().set_id() == kSet);
  REQUIRE_FALSE(request.capture_result().failure().empty());
  REQUIRE(request.capture_ready() == 0);
}

TEST_CASE("a capture that is withdrawn leaves room for the next") {
  Fixture f;
  f.link.Order(1);
  f.link.AwaitGeneration(1);
  f.link.OrderCapture(2, kSet);
  f.link.Await([](const auto& r) { return r.capture_ready() == kSet; });
  f.link.Order(1);
  f.link.Await([](const auto& r) { return r.capture_ready() == 0; });
  f.MakeSet(0, 3, kSet + 1);
}

TEST_CASE("a server without a checkpoint folder says so") {
  Fixture f("");
  f.link.Order(1);
  f.link.AwaitGeneration(1);
  f.link.OrderCapture(2, kSet);
  const auto request = f.link.Await(HasResult);
  REQUIRE(request.capture_result().failure().find("folder") !=
          std::string::npos);
}

TEST_CASE("a shard goes on while the coordinator is out of reach") {
  Fixture f;
  f.link.Order(1);
  f.link.AwaitGeneration(1);
  f.link.Fail(absl::UnavailableError("nobody listens"));
  f.link.AwaitCalls(2);
  f.Train(0, 2, 1);
  f.link.Fail(absl::OkStatus());
  f.MakeSet(2, 4, kSet);
}

TEST_CASE("a server that is refused serves no more, and says why") {
  Fixture f;
  f.link.Order(1);
  f.link.AwaitGeneration(1);
  f.link.Fail(absl::FailedPreconditionError("another has taken its place"));
  {
    MutexLock lock(&f.mutex);
    f.mutex.Await([&f] { return f.refusal.has_value(); });
    REQUIRE_ERROR(*f.refusal, Code::kFailedPrecondition, "another");
  }
  REQUIRE_ERROR(f.Push(0, 0, 1), Code::kUnavailable);
}

TEST_CASE("an agent can be stopped at any time") {
  Fixture f;
  SECTION("before there are orders") {}
  SECTION("with a capture at hand") {
    f.link.Order(1);
    f.link.AwaitGeneration(1);
    f.link.OrderCapture(2, kSet);
    f.link.Await([](const auto& r) { return r.capture_ready() == kSet; });
  }
  SECTION("while the coordinator is out of reach") {
    f.link.Fail(absl::UnavailableError("nobody listens"));
    f.link.AwaitCalls(1);
  }
  f.agent->Stop();
  f.agent->Stop();
}

TEST_CASE("a restore is given up when the agent stops") {
  Fixture f;
  f.link.Order(1);
  f.link.AwaitGeneration(1);
  f.MakeSet(0, 2, kSet);
  std::thread stopper;
  {
    // The disk takes its time.
    MutexLock lock(&f.storage.mutex());
    f.link.Order(2, 2, kSet);
    f.link.AwaitSeen();
    const int before = f.link.interruptions();
    stopper = std::thread([&f] { f.agent->Stop(); });
    f.link.AwaitInterruptions(before + 1);
  }
  stopper.join();
  REQUIRE(f.store->generation() == 1);
}

}  // namespace
}  // namespace tessera
