#include "tests/unit/service/mini_worker.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/rpc/call_status.h"
#include "common/rpc/transport.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "tests/unit/service/push_messages.h"

namespace tessera {
namespace {

// Only there to end a test that hangs.
constexpr absl::Duration kHangs = absl::Minutes(2);
constexpr int64_t kWaitMs = 5000;

// One call; waits for a server that is not there yet.
template <typename Method>
absl::Status Call(Method method) {
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  context.set_deadline(absl::ToChronoTime(absl::Now() + kHangs));
  return FromGrpcStatus(method(&context));
}

float GradientValue(int block, int64_t step) {
  return static_cast<float>(1 + (block + step) % 7) / 8;
}

}  // namespace

MiniWorker::MiniWorker(const Job& job,
                       const std::vector<std::string>& addresses)
    : job_(job), plan_(MakeTestPlan(job, static_cast<int>(addresses.size()))) {
  for (const std::string& address : addresses) {
    const auto channel = Connect(address, {}, {});
    REQUIRE_OK(channel);
    servers_.push_back(v1::ParameterService::NewStub(*channel));
    if (coordinator_ == nullptr) {
      coordinator_ = v1::CoordinatorService::NewStub(*channel);
    }
  }
}

void MiniWorker::Join() {
  v1::JoinResponse joined;
  absl::Status status;
  do {
    status = Call([&](auto* context) {
      return coordinator_->Join(context, {}, &joined);
    });
  } while (absl::IsUnavailable(status));
  REQUIRE_OK(status);
  worker_ = joined.worker_id();
  requests_ = 0;
}

v1::GetWorkResponse MiniWorker::Ask() {
  while (true) {
    v1::GetWorkRequest request;
    request.set_worker_id(worker_);
    request.set_have_version(have_version_);
    request.set_generation(generation_);
    request.set_wait_ms(kWaitMs);
    request.set_gives_up_last(drops_work_);
    request.set_request_number(++requests_);
    v1::GetWorkResponse work;
    const absl::Status status = Call([&](auto* context) {
      return coordinator_->GetWork(context, request, &work);
    });
    if (absl::IsNotFound(status)) {
      Join();
      continue;
    }
    if (absl::IsUnavailable(status)) continue;
    REQUIRE_OK(status);
    drops_work_ = true;
    if (work.has_none()) continue;
    return work;
  }
}

absl::Status MiniWorker::PullAll(int64_t version, absl::Span<float> out) {
  for (int block = 0; block < plan_.block_count(); ++block) {
    v1::PullRequest request = MakePull(job_, plan_, block, version);
    request.set_generation(generation_);
    v1::PullResponse response;
    TESSERA_RETURN_IF_ERROR(Call([&](auto* context) {
      return servers_[plan_.ShardOfBlock(block)]->Pull(context, request,
                                                       &response);
    }));
    const Interval elements = plan_.BlockElements(block);
    const absl::string_view bytes = response.payload();
    REQUIRE(bytes.size() ==
            static_cast<size_t>(elements.size()) * sizeof(float));
    std::memcpy(&out[static_cast<size_t>(elements.begin)], bytes.data(),
                bytes.size());
  }
  return absl::OkStatus();
}

absl::Status MiniWorker::Push(int block, int64_t step, int begin, int end,
                              int64_t generation) {
  auto request =
      MakePushHeader<v1::PushRequest>(job_, plan_, block, step, {begin, end});
  request.set_generation(generation);
  const auto size = static_cast<float>(end - begin);
  request.set_payload(std::string(
      AsBytes(MakeGradient(plan_, block, size * GradientValue(block, step)))));
  v1::PushResponse response;
  return Call([&](auto* context) {
    return servers_[plan_.ShardOfBlock(block)]->Push(context, request,
                                                     &response);
  });
}

absl::Status MiniWorker::PushAll(const v1::TrainWork& work) {
  for (int block = 0; block < plan_.block_count(); ++block) {
    TESSERA_RETURN_IF_ERROR(Push(block, work.step(), work.microbatch_begin(),
                                 work.microbatch_end(), generation_));
  }
  return absl::OkStatus();
}

void MiniWorker::TrainTo(int64_t version) {
  std::vector<float> parameters(
      static_cast<size_t>(job_.layout().total_elements()));
  while (true) {
    const v1::GetWorkResponse work = Ask();
    if (work.generation() != generation_) {
      generation_ = work.generation();
      have_version_ = -1;
    }
    REQUIRE(work.has_train());
    const int64_t step = work.train().step();
    absl::Status status = PullAll(step, absl::MakeSpan(parameters));
    if (status.ok()) {
      have_version_ = step;
      if (step >= version) return;
      status = PushAll(work.train());
    }
    drops_work_ = !status.ok();
    // The servers went back, or one of them is away.
    if (absl::IsAborted(status) || absl::IsUnavailable(status)) continue;
    REQUIRE_OK(status);
  }
}

std::vector<float> MiniWorker::Parameters(int64_t version) {
  std::vector<float> parameters(
      static_cast<size_t>(job_.layout().total_elements()));
  REQUIRE_OK(PullAll(version, absl::MakeSpan(parameters)));
  return parameters;
}

}  // namespace tessera
