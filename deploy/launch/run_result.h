// What a run came to.

#ifndef TESSERA_DEPLOY_LAUNCH_RUN_RESULT_H_
#define TESSERA_DEPLOY_LAUNCH_RUN_RESULT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/job/job.h"
#include "tessera/v1/admin.pb.h"
#include "tessera/v1/coordinator.pb.h"

namespace tessera {

struct RunResult {
  int64_t steps = 0;
  double epochs = 0;
  v1::EndReason end_reason = v1::END_REASON_UNSPECIFIED;
  double train_loss = 0;  // Mean over the last epoch, at most.
  double final_step_loss = 0;
  double test_loss = 0;
  double test_accuracy = 0;  // 0 for regression.
  double seconds = 0;        // From the workers' start to the job's end.
  double samples_per_second = 0;
  std::string params_sha256;
  int workers = 0;
  // How often servers went back to an earlier version.
  int recoveries = 0;
  // The newest checkpoint; -1 and empty for none.
  int64_t checkpoint_version = -1;
  std::string checkpoint_folder;
  // In shard order, as the job ended.
  std::vector<v1::GetServerInfoResponse> servers;
};

// Workers that pushed anything to this server; one that was started again
// counts each time.
int WorkersThatPushed(const v1::GetServerInfoResponse& server);

// Payload bytes that a worker pushed to this server in a step: the mean over
// steps and WorkersThatPushed.
int64_t PushedPerWorkerAndStep(const v1::GetServerInfoResponse& server,
                               int64_t steps);

// The text of summary.json. Values that are not finite become null.
std::string SummaryJson(const Job& job, const RunResult& result);

// "target accuracy reached" and the like.
std::string Describe(v1::EndReason reason);

}  // namespace tessera

#endif  // TESSERA_DEPLOY_LAUNCH_RUN_RESULT_H_
