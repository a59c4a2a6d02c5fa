// A worker in as few lines as can be: asks for work, pulls, pushes, starts over
// when it is told that servers went back.

#ifndef TESSERA_TESTS_UNIT_SERVICE_MINI_WORKER_H_
#define TESSERA_TESTS_UNIT_SERVICE_MINI_WORKER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/job/job.h"
#include "common/plan/shard_plan.h"
#include "tessera/v1/coordinator.grpc.pb.h"
#include "tessera/v1/parameter.grpc.pb.h"

namespace tessera {

// Works alone, on a job without evaluations on the way. For one thread. Repeats
// calls while servers are out of reach; fails the test at anything else that is
// no part of recovery.
class MiniWorker {
 public:
  // `addresses` in shard order.
  MiniWorker(const Job& job, const std::vector<std::string>& addresses);

  // Works until every block is at `version`, or beyond. Gradients are a
  // function of step and block alone.
  void TrainTo(int64_t version);

  // Of its newest answer.
  int64_t generation() const { return generation_; }
  // The highest version that it has held every block of since the servers
  // started.
  int64_t version() const { return have_version_; }

  // All parameters at that version.
  std::vector<float> Parameters(int64_t version);

  // One push, whatever becomes of it.
  absl::Status Push(int block, int64_t step, int begin, int end,
                    int64_t generation);

 private:
  v1::GetWorkResponse Ask();
  void Join();
  absl::Status PullAll(int64_t version, absl::Span<float> out);
  absl::Status PushAll(const v1::TrainWork& work);

  const Job& job_;
  const ShardPlan plan_;
  std::unique_ptr<v1::CoordinatorService::Stub> coordinator_;
  std::vector<std::unique_ptr<v1::ParameterService::Stub>> servers_;
  uint64_t worker_ = 0;
  uint64_t requests_ = 0;
  // Whether what it was granted last was not done.
  bool drops_work_ = false;
  int64_t generation_ = 0;
  int64_t have_version_ = -1;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_UNIT_SERVICE_MINI_WORKER_H_
