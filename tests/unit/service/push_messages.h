// Well-formed messages for a test job's blocks, to be sent as they are or to be
// broken.

#ifndef TESSERA_TESTS_UNIT_SERVICE_PUSH_MESSAGES_H_
#define TESSERA_TESTS_UNIT_SERVICE_PUSH_MESSAGES_H_

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/job/job.h"
#include "common/plan/reduction_tree.h"
#include "common/plan/shard_plan.h"
#include "tessera/v1/parameter.pb.h"

namespace tessera {

// A header for PushRequest or PushPullRequest.
template <typename Request>
Request MakePushHeader(const Job& job, const ShardPlan& plan, int block,
                       int64_t step, const MicrobatchRange& range) {
  Request request;
  request.set_job_fingerprint(job.fingerprint());
  request.set_shard(plan.ShardOfBlock(block));
  request.set_block(block);
  request.set_step(step);
  request.set_microbatch_begin(range.begin);
  request.set_microbatch_end(range.end);
  request.set_worker_id(77);
  request.set_encoding(v1::ENCODING_FLOAT32);
  return request;
}

inline v1::PullRequest MakePull(const Job& job, const ShardPlan& plan,
                                int block, int64_t version) {
  v1::PullRequest request;
  request.set_job_fingerprint(job.fingerprint());
  request.set_shard(plan.ShardOfBlock(block));
  request.set_block(block);
  request.set_version(version);
  request.set_encoding(v1::ENCODING_FLOAT32);
  return request;
}

// A gradient of a block, all of one value.
inline std::vector<float> MakeGradient(const ShardPlan& plan, int block,
                                       float value) {
  return std::vector<float>(
      static_cast<size_t>(plan.BlockElements(block).size()), value);
}

inline absl::string_view AsBytes(absl::Span<const float> values) {
  return {reinterpret_cast<const char*>(values.data()),
          values.size() * sizeof(float)};
}

}  // namespace tessera

#endif  // TESSERA_TESTS_UNIT_SERVICE_PUSH_MESSAGES_H_
