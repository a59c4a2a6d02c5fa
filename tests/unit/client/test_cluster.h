// Real servers in this process, and a client of theirs.

#ifndef TESSERA_TESTS_UNIT_CLIENT_TEST_CLUSTER_H_
#define TESSERA_TESTS_UNIT_CLIENT_TEST_CLUSTER_H_

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "common/job/job.h"
#include "common/plan/shard_plan.h"
#include "server/service/server.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "worker/client/parameter_client.h"

namespace tessera {

// Calls that are made and not answered yet, with their results.
class Calls {
 public:
  // A callback that notes the result under `number`.
  BlockDone Expect(int number) {
    MutexLock lock(&mutex_);
    ++missing_;
    return [this, number](absl::Status status) {
      MutexLock l(&mutex_);
      results_[number] = std::move(status);
      --missing_;
    };
  }

  // Whether all calls were answered before long.
  bool Await() {
    MutexLock lock(&mutex_);
    return mutex_.AwaitFor([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(
                               mutex_) { return missing_ == 0; },
                           absl::Minutes(1));
  }

  absl::Status Result(int number) {
    MutexLock lock(&mutex_);
    const auto found = results_.find(number);
    return found == results_.end() ? absl::UnknownError("no answer yet")
                                   : found->second;
  }

  int missing() {
    MutexLock lock(&mutex_);
    return missing_;
  }

 private:
  Mutex mutex_;
  int missing_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<int, absl::Status> results_ ABSL_GUARDED_BY(mutex_);
};

// All servers of a job.
class TestCluster {
 public:
  TestCluster(const TestJobOptions& job_options, int servers,
              ChannelSecurity security = {},
              ShmUse shared_memory = ShmUse::kAuto, bool servers_attend = false)
      : job_(MakeTestJob(job_options)),
        plan_(MakeTestPlan(job_, servers)),
        security_(std::move(security)),
        shared_memory_(shared_memory),
        servers_attend_(servers_attend) {
    addresses_.assign(static_cast<size_t>(servers), "127.0.0.1:0");
    servers_.resize(static_cast<size_t>(servers));
    for (int shard = 0; shard < servers; ++shard) StartServer(shard);
  }

  // With a fresh state, on the address that the shard had before.
  void StartServer(int shard) {
    const bool has_link = servers_attend_ && shard > 0;
    auto server = Server::Start(
        job_, {.shard = shard,
               .shard_count = plan_.shard_count(),
               .listen = addresses_[Index(shard)],
               .security = security_,
               .shared_memory = shared_memory_,
               .servers_attend = servers_attend_,
               .coordinator = has_link ? addresses_[0] : std::string()});
    REQUIRE_OK(server);
    servers_[Index(shard)] = *std::move(server);
    addresses_[Index(shard)] = servers_[Index(shard)]->address();
  }
  void StopServer(int shard) { servers_[Index(shard)].reset(); }

  std::unique_ptr<ParameterClient> MakeClient(
      absl::Duration unreachable_after = absl::Minutes(1)) const {
    ParameterClientOptions options = ClientOptions();
    options.unreachable_after = unreachable_after;
    return MakeClient(std::move(options));
  }

  // What a client of this cluster needs, to be changed.
  ParameterClientOptions ClientOptions() const {
    return {.job_fingerprint = job_.fingerprint(),
            .worker = WorkerId(5),
            .servers = addresses_,
            .security = security_,
            .push_encoding = job_.push_encoding(),
            .pull_encoding = job_.pull_encoding()};
  }
  std::unique_ptr<ParameterClient> MakeClient(
      ParameterClientOptions options) const {
    auto client = ParameterClient::Create(plan_, std::move(options));
    REQUIRE_OK(client);
    return *std::move(client);
  }

  const Job& job() const { return job_; }
  const ShardPlan& plan() const { return plan_; }
  Server& server(int shard) { return *servers_[Index(shard)]; }
  const std::vector<std::string>& addresses() const { return addresses_; }

 private:
  static size_t Index(int shard) { return static_cast<size_t>(shard); }

  const Job job_;
  const ShardPlan plan_;
  const ChannelSecurity security_;
  const ShmUse shared_memory_;
  // Whether they recover together; see ServerOptions.
  const bool servers_attend_;
  std::vector<std::string> addresses_;
  std::vector<std::unique_ptr<Server>> servers_;
};

// A flat vector and its blocks.
class FlatVector {
 public:
  FlatVector(const ShardPlan& plan, float value)
      : plan_(plan), values_(static_cast<size_t>(plan.elements()), value) {}

  absl::Span<float> Block(int block) {
    const Interval elements = plan_.BlockElements(block);
    return absl::MakeSpan(values_).subspan(
        static_cast<size_t>(elements.begin),
        static_cast<size_t>(elements.size()));
  }
  std::vector<float>& values() { return values_; }

 private:
  const ShardPlan plan_;
  std::vector<float> values_;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_UNIT_CLIENT_TEST_CLUSTER_H_
