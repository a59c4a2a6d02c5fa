// The coordinator in the same process: shard 0's server.

#ifndef TESSERA_SERVER_SERVICE_LOCAL_COORDINATOR_LINK_H_
#define TESSERA_SERVER_SERVICE_LOCAL_COORDINATOR_LINK_H_

#include "absl/base/thread_annotations.h"
#include "common/base/mutex.h"
#include "server/service/coordinator_handler.h"
#include "server/service/coordinator_link.h"

namespace tessera {

class LocalCoordinatorLink : public CoordinatorLink {
 public:
  // The handler must outlive the link.
  explicit LocalCoordinatorLink(CoordinatorHandler& handler)
      : handler_(handler) {}

  absl::StatusOr<v1::AttendResponse> Attend(
      const v1::AttendRequest& request) override;
  void Interrupt() override;

 private:
  CoordinatorHandler& handler_;
  Mutex mutex_;
  bool interrupted_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SERVICE_LOCAL_COORDINATOR_LINK_H_
