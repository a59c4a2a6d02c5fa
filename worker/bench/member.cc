#include "worker/bench/member.h"

#include <poll.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/base/status_macros.h"

namespace tessera::bench {
namespace {

// For the longest of runs; a process that dies is noticed at once.
constexpr int kAnswerTimeoutMs = 600000;
// Between a closed link and the end of its process.
constexpr absl::Duration kEndingTime = absl::Milliseconds(200);
constexpr int kLogLines = 8;

}  // namespace

absl::StatusOr<Member> Member::Start(const std::vector<std::string>& argv,
                                     std::string name,
                                     const std::string& log_path) {
  TESSERA_ASSIGN_OR_RETURN(auto child, Child::Start(argv, log_path));
  return Member(std::move(child), std::move(name));
}

absl::StatusOr<Member> Member::StartRole(const std::string& bench_binary,
                                         const char* role,
                                         const ChildSetup& setup,
                                         std::string name,
                                         const std::string& log_path) {
  TESSERA_ASSIGN_OR_RETURN(auto ends, ControlLink::CreatePair());
  TESSERA_ASSIGN_OR_RETURN(
      Member member,
      Start({bench_binary, absl::StrCat("--internal_role=", role),
             absl::StrCat("--internal_control=", ends.second.fd())},
            std::move(name), log_path));
  member.link_ = std::make_unique<ControlLink>(std::move(ends.first));
  TESSERA_RETURN_IF_ERROR(member.link_->Send(ToJson(setup)));
  return member;
}

absl::StatusOr<nlohmann::json> Member::Receive() {
  auto answer = link_->Receive(absl::Milliseconds(kAnswerTimeoutMs));
  const absl::Status status =
      answer.ok() ? ErrorFromJson(*answer) : answer.status();
  if (!status.ok()) return Explain(status);
  return answer;
}

absl::Status Member::Explain(const absl::Status& status) const {
  std::string text = absl::StrCat(name_, ": ", status.message());
  if (const auto ending = child_->WaitFor(kEndingTime)) {
    absl::StrAppend(&text, " (", Describe(*ending), ")\n",
                    child_->LogTail(kLogLines));
  }
  return absl::Status(status.code(), text);
}

absl::StatusOr<std::vector<nlohmann::json>> CommandAll(
    absl::Span<Member> members, const nlohmann::json& command) {
  for (Member& member : members) {
    const absl::Status status = member.link().Send(command);
    if (!status.ok()) return member.Explain(status);
  }
  std::vector<nlohmann::json> answers(members.size());
  for (size_t missing = members.size(); missing > 0;) {
    std::vector<pollfd> fds;
    for (size_t i = 0; i < members.size(); ++i) {
      // poll passes over negative ones.
      const int fd = answers[i].is_null() ? members[i].link().fd() : -1;
      fds.push_back({.fd = fd, .events = POLLIN, .revents = 0});
    }
    if (poll(fds.data(), fds.size(), kAnswerTimeoutMs) == 0) {
      return absl::DeadlineExceededError("the workers do not answer");
    }
    for (size_t i = 0; i < members.size(); ++i) {
      if (fds[i].revents == 0) continue;
      TESSERA_ASSIGN_OR_RETURN(answers[i], members[i].Receive());
      --missing;
    }
  }
  return answers;
}

}  // namespace tessera::bench
