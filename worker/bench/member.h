// A process of a benchmark's, and the link to it.

#ifndef TESSERA_WORKER_BENCH_MEMBER_H_
#define TESSERA_WORKER_BENCH_MEMBER_H_

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/process/child.h"
#include "worker/bench/child_setup.h"
#include "worker/bench/control.h"

namespace tessera::bench {

// For the main thread only (see Child).
class Member {
 public:
  // Starts `argv`, called `name` in messages; it says nothing by itself. Codes:
  // as Child::Start.
  static absl::StatusOr<Member> Start(const std::vector<std::string>& argv,
                                      std::string name,
                                      const std::string& log_path);

  // Starts this very program in a role, tells it what it is, and keeps the link
  // to it. Codes: as Child::Start and CreatePair.
  static absl::StatusOr<Member> StartRole(const std::string& bench_binary,
                                          const char* role,
                                          const ChildSetup& setup,
                                          std::string name,
                                          const std::string& log_path);

  Child& child() const { return *child_; }
  // Of StartRole's only, here and below.
  ControlLink& link() const { return *link_; }
  // Such a process ends by itself when its link does.
  void CloseLink() { link_.reset(); }

  // The next message. Codes: the error that the process reports, and those of
  // ControlLink::Receive, explained.
  absl::StatusOr<nlohmann::json> Receive();

  // `status` with the member's name and, if the process has ended, how, and the
  // end of its log.
  absl::Status Explain(const absl::Status& status) const;

 private:
  Member(std::unique_ptr<Child> child, std::string name)
      : child_(std::move(child)), name_(std::move(name)) {}

  std::unique_ptr<Child> child_;
  std::unique_ptr<ControlLink> link_;
  std::string name_;
};

// Sends the command to all, then waits for all answers, in the order in which
// they come: a worker that fails keeps the others waiting for ever. Codes: the
// first error's, explained; DEADLINE_EXCEEDED.
absl::StatusOr<std::vector<nlohmann::json>> CommandAll(
    absl::Span<Member> members, const nlohmann::json& command);

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_MEMBER_H_
