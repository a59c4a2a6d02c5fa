// Whole servers that die, come back and go on from checkpoints, in one process.

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <future>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "common/base/mutex.h"
#include "common/rpc/call_status.h"
#include "common/rpc/transport.h"
#include "server/checkpoint/format.h"
#include "server/service/server.h"
#include "tessera/v1/admin.grpc.pb.h"
#include "tessera/v1/coordinator.grpc.pb.h"
#include "tessera/v1/shard.grpc.pb.h"
#include "tests/support/command.h"
#include "tests/support/faulty_storage.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "tests/unit/service/locked_storage.h"
#include "tests/unit/service/mini_worker.h"

namespace tessera {
namespace {

using Code = absl::StatusCode;

constexpr char kRoot[] = "/sets";

Job MakeJob(int64_t block_bytes = 64) {
  return MakeTestJob({.parameters = 100,
                      .microbatches = 2,
                      .block_bytes = block_bytes,
                      .optimizer = "adamw {}"});
}

// Servers of a job, each of which can be killed and started anew.
class Servers {
 public:
  Servers(Job job, int count, Storage& storage)
      : job_(std::move(job)), storage_(storage) {
    for (int shard = 0; shard < count; ++shard) {
      addresses_.push_back("127.0.0.1:0");
      servers_.emplace_back();
    }
    for (int shard = 0; shard < count; ++shard) Start(shard);
  }

  void Kill(int shard) { servers_[static_cast<size_t>(shard)].reset(); }

  // At the address that it had before.
  void Start(int shard) {
    const auto i = static_cast<size_t>(shard);
    auto server =
        Server::Start(job_, {.shard = shard,
                             .shard_count = static_cast<int>(servers_.size()),
                             .listen = addresses_[i],
                             .device = "cpu",
                             .first_worker_id = next_worker_id_,
                             // Workers may outlive all who know of one.
                             .generation_floor = generation_floor_,
                             .servers_attend = true,
                             .coordinator = addresses_[0],
                             .checkpoint_dir = kRoot,
                             .storage = &storage_,
                             .on_refused = [this, shard](const absl::Status&) {
                               MutexLock lock(&mutex_);
                               refused_.insert(shard);
                             }});
    REQUIRE_OK(server);
    servers_[i] = *std::move(server);
    addresses_[i] = servers_[i]->address();
    next_worker_id_ += 1000;
    if (shard == 0) generation_floor_ += 1000;
  }

  // Until the shard's server is told that it must end.
  void AwaitRefused(int shard) {
    MutexLock lock(&mutex_);
    mutex_.Await([this, shard]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return refused_.count(shard) > 0;
    });
  }

  const Job& job() const { return job_; }
  const std::vector<std::string>& addresses() const { return addresses_; }

  v1::GetStatusResponse Status() {
    v1::GetStatusResponse status;
    grpc::ClientContext context;
    REQUIRE_OK(FromGrpcStatus(v1::CoordinatorService::NewStub(ChannelTo(0))
                                  ->GetStatus(&context, {}, &status)));
    return status;
  }

  // Asks for a checkpoint; returns once its version is settled.
  std::future<absl::StatusOr<v1::WriteCheckpointResponse>> AskForCheckpoint() {
    // Until then none can be made.
    REQUIRE(Eventually(
        [this] { return Status().phase() != v1::PHASE_RECOVERING; }));
    auto answer = std::async(std::launch::async, [channel = ChannelTo(0)] {
      grpc::ClientContext context;
      context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Minutes(2)));
      v1::WriteCheckpointResponse response;
      const absl::Status status =
          FromGrpcStatus(v1::AdminService::NewStub(channel)->WriteCheckpoint(
              &context, {}, &response));
      return status.ok() ? absl::StatusOr<v1::WriteCheckpointResponse>(response)
                         : status;
    });
    REQUIRE(Eventually([&] {
      return Status().checkpoint().pending_version() >= 0 ||
             answer.wait_for(std::chrono::seconds(0)) ==
                 std::future_status::ready;
    }));
    return answer;
  }

 private:
  std::shared_ptr<grpc::Channel> ChannelTo(int shard) {
    auto channel = Connect(addresses_[static_cast<size_t>(shard)], {}, {});
    REQUIRE_OK(channel);
    return *channel;
  }

  const Job job_;
  Storage& storage_;
  std::vector<std::string> addresses_;
  int64_t generation_floor_ = 0;
  uint64_t next_worker_id_ = 1;
  Mutex mutex_;
  std::set<int> refused_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<Server>> servers_;
};

class Fixture {
 public:
  Fixture() : faulty(1), storage(faulty) {}

  // Trains until the checkpoint asked for is there; returns its version.
  int64_t WriteCheckpoint(Servers& servers, MiniWorker& worker) {
    auto answer = servers.AskForCheckpoint();
    worker.TrainTo(servers.Status().checkpoint().pending_version() + 1);
    const auto written = answer.get();
    REQUIRE_OK(written);
    REQUIRE(written->bytes() > 0);
    return written->version();
  }

  FaultyStorage faulty;
  LockedStorage storage;
};

// Of a run without a disturbance, on one server.
std::vector<float> Undisturbed(int64_t version) {
  const Job job = MakeJob();
  const auto server = Server::Start(job, {.device = "cpu"});
  REQUIRE_OK(server);
  MiniWorker worker(job, {(*server)->address()});
  worker.TrainTo(version);
  return worker.Parameters(version);
}

TEST_CASE("servers that attend train like others") {
  Fixture f;
  Servers servers(MakeJob(), 2, f.storage);
  MiniWorker worker(servers.job(), servers.addresses());
  worker.TrainTo(10);
  REQUIRE(worker.generation() == 1);
  REQUIRE(worker.Parameters(10) == Undisturbed(10));
}

TEST_CASE("a server that died comes back, and all go back to the checkpoint") {
  const int dies = GENERATE(0, 1);
  Fixture f;
  Servers servers(MakeJob(), 2, f.storage);
  MiniWorker worker(servers.job(), servers.addresses());
  worker.TrainTo(3);
  const int64_t written = f.WriteCheckpoint(servers, worker);
  worker.TrainTo(written + 5);
  servers.Kill(dies);
  servers.Start(dies);
  worker.TrainTo(written + 1);
  REQUIRE(worker.generation() > 1);
  // It did go back: else it would hold a later one.
  REQUIRE(worker.version() == written + 1);
  REQUIRE_ERROR(worker.Push(0, written + 1, 0, 1, 1), Code::kAborted);
  worker.TrainTo(written + 8);
  REQUIRE(worker.Parameters(written + 8) == Undisturbed(written + 8));
}

TEST_CASE("without a checkpoint all go back to the start") {
  Fixture f;
  Servers servers(MakeJob(), 2, f.storage);
  MiniWorker worker(servers.job(), servers.addresses());
  worker.TrainTo(6);
  servers.Kill(1);
  servers.Start(1);
  worker.TrainTo(1);
  REQUIRE(worker.generation() == 2);
  REQUIRE(worker.version() == 1);
  worker.TrainTo(9);
  REQUIRE(worker.Parameters(9) == Undisturbed(9));
}

TEST_CASE("both servers may die, one after the other") {
  Fixture f;
  Servers servers(MakeJob(), 2, f.storage);
  MiniWorker worker(servers.job(), servers.addresses());
  const int64_t written = f.WriteCheckpoint(servers, worker);
  servers.Kill(0);
  servers.Kill(1);
  servers.Start(0);
  servers.Start(1);
  worker.TrainTo(written + 4);
  REQUIRE(worker.Parameters(written + 4) == Undisturbed(written + 4));
}

TEST_CASE("a set that is damaged is passed over for the one before") {
  Fixture f;
  Servers servers(MakeJob(), 2, f.storage);
  MiniWorker worker(servers.job(), servers.addresses());
  const int64_t good = f.WriteCheckpoint(servers, worker);
  const int64_t bad = f.WriteCheckpoint(servers, worker);
  REQUIRE(bad > good);
  {
    MutexLock lock(&f.storage.mutex());
    const auto sets = f.faulty.List(kRoot);
    REQUIRE_OK(sets);
    const std::string path =
        JoinPath(JoinPath(kRoot, sets->back()), ShardFileName(1, 2));
    std::string contents = f.faulty.Contents(path);
    contents[contents.size() / 2] ^= 1;
    f.faulty.SetContents(path, contents);
  }
  servers.Kill(1);
  servers.Start(1);
  worker.TrainTo(good + 1);
  REQUIRE(worker.version() == good + 1);
  REQUIRE(worker.generation() == 3);
}

TEST_CASE("a checkpoint that fails is said to, and training goes on") {
  Fixture f;
  Servers servers(MakeJob(), 2, f.storage);
  MiniWorker worker(servers.job(), servers.addresses());
  const int64_t good = f.WriteCheckpoint(servers, worker);
  std::string words;
  {
    MutexLock lock(&f.storage.mutex());
    SECTION("when the disk is full") {
      f.faulty.set_capacity_bytes(10);
      words = "disk";
    }
    SECTION("when a sync fails") {
      f.faulty.FailNth(StorageOp::kSync, 1, absl::UnknownError("I/O error"));
      words = "I/O error";
    }
    SECTION("when the manifest cannot be written") {
      f.faulty.FailNth(StorageOp::kSync, 3, absl::UnknownError("I/O error"));
      words = "I/O error";
    }
  }
  auto answer = servers.AskForCheckpoint();
  worker.TrainTo(servers.Status().checkpoint().pending_version() + 3);
  REQUIRE_ERROR(answer.get(), Code::kAborted, words);
  const v1::CheckpointStatus status = servers.Status().checkpoint();
  REQUIRE(status.newest_version() == good);
  REQUIRE(status.failed() == 1);
  REQUIRE(status.written() == 1);
  {
    MutexLock lock(&f.storage.mutex());
    f.faulty.set_capacity_bytes(1 << 20);
  }
  REQUIRE(f.WriteCheckpoint(servers, worker) > good);
}

TEST_CASE("a job goes on with other servers and other blocks") {
  Fixture f;
  int64_t written = 0;
  {
    Servers servers(MakeJob(), 2, f.storage);
    MiniWorker worker(servers.job(), servers.addresses());
    written = f.WriteCheckpoint(servers, worker);
  }
  const auto [count, block_bytes] = GENERATE(
      std::pair<int, int64_t>(1, 64), std::pair<int, int64_t>(3, 64),
      std::pair<int, int64_t>(2, 128), std::pair<int, int64_t>(1, 1 << 20));
  Servers servers(MakeJob(block_bytes), count, f.storage);
  MiniWorker worker(servers.job(), servers.addresses());
  worker.TrainTo(written + 1);
  REQUIRE(worker.version() == written + 1);
  const std::vector<float> before = worker.Parameters(written);
  REQUIRE(before == Undisturbed(written));
}

TEST_CASE("only shard 0's server takes servers in and makes checkpoints") {
  Fixture f;
  Servers servers(MakeJob(), 2, f.storage);
  const auto channel = Connect(servers.addresses()[1], {}, {});
  REQUIRE_OK(channel);
  grpc::ClientContext attend_context;
  v1::AttendResponse orders;
  REQUIRE_ERROR(FromGrpcStatus(v1::ShardService::NewStub(*channel)->Attend(
                    &attend_context, {}, &orders)),
                Code::kFailedPrecondition, "shard 0's");
  grpc::ClientContext context;
  v1::WriteCheckpointResponse written;
  REQUIRE_ERROR(
      FromGrpcStatus(v1::AdminService::NewStub(*channel)->WriteCheckpoint(
          &context, {}, &written)),
      Code::kFailedPrecondition, "shard 0's");
}

TEST_CASE("a server that another has taken the place of is told to end") {
  Fixture f;
  Servers servers(MakeJob(), 2, f.storage);
  MiniWorker worker(servers.job(), servers.addresses());
  worker.TrainTo(1);
  const auto newer =
      Server::Start(servers.job(), {.shard = 1,
                                    .shard_count = 2,
                                    .device = "cpu",
                                    .servers_attend = true,
                                    .coordinator = servers.addresses()[0],
                                    .checkpoint_dir = kRoot,
                                    .storage = &f.storage});
  REQUIRE_OK(newer);
  servers.AwaitRefused(1);
  // Its shard serves no more.
  const int last_block = MakeTestPlan(servers.job(), 2).block_count() - 1;
  REQUIRE_ERROR(worker.Push(last_block, 1, 0, 1, 1), Code::kUnavailable);
}

TEST_CASE("options that do not go together are refused") {
  const Job job = MakeJob();
  REQUIRE_ERROR(
      Server::Start(job,
                    {.shard = 1, .shard_count = 2, .servers_attend = true}),
      Code::kInvalidArgument, "coordinator");
  REQUIRE_ERROR(Server::Start(job, {.checkpoint_dir = kRoot}),
                Code::kInvalidArgument, "attend");
}

}  // namespace
}  // namespace tessera
