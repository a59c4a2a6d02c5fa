#include "tests/soak/soak_run.h"

#include <sys/prctl.h>
#include <unistd.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/check.h"
#include "common/base/file.h"

namespace tessera {
namespace {

constexpr char kLauncher[] = "deploy/tessera_launch";
// Longer, and the coordinator counts as not answering.
constexpr absl::Duration kStatusTimeout = absl::Milliseconds(200);

std::string CommandLine(pid_t pid) {
  const std::string line =
      ReadFile(absl::StrCat("/proc/", pid, "/cmdline")).value_or("");
  return absl::StrReplaceAll(line, {{absl::string_view("\0", 1), " "}});
}

std::vector<std::string> LauncherArguments(const SoakRunOptions& options,
                                           const std::string& run_dir,
                                           const std::string& checkpoint_dir) {
  std::vector<std::string> argv = {
      kLauncher, absl::StrCat("--job=", options.job_file),
      absl::StrCat("--servers=", options.servers),
      absl::StrCat("--workers=", options.workers),
      absl::StrCat("--run_dir=", run_dir),
      // It is for us to say how often.
      "--worker_restarts=1000000", "--lease_seconds=1"};
  if (options.with_checkpoints) {
    argv.push_back(absl::StrCat("--checkpoint_dir=", checkpoint_dir));
    argv.push_back("--server_restarts=1000000");
  }
  argv.insert(argv.end(), options.extra_flags.begin(),
              options.extra_flags.end());
  return argv;
}

}  // namespace

SoakRun::SoakRun(const SoakRunOptions& options)
    : options_(options),
      folder_(NewScratchFolder()),
      run_dir_(folder_ + "/run"),
      checkpoint_dir_(folder_ + "/checkpoints") {
  // Whatever it is that makes the folder, it may be there.
  TESSERA_CHECK(MakeDirectories(checkpoint_dir_).ok());
  launcher_ = std::make_unique<Command>(
      LauncherArguments(options_, run_dir_, checkpoint_dir_),
      folder_ + "/launcher.output");
}

SoakRun::~SoakRun() = default;

std::optional<pid_t> SoakRun::Server(int shard) const {
  // Arguments end with a zero byte: not shard 1 for 10.
  const std::string flag = absl::StrCat("--shard=", shard) + '\0';
  const auto found = Descendants(launcher_->pid(), flag);
  if (found.empty()) return std::nullopt;
  return found.back();
}

std::vector<pid_t> SoakRun::Workers() const {
  return Descendants(launcher_->pid(), "tessera_worker");
}

std::vector<std::string> SoakRun::Addresses() const {
  std::vector<std::string> addresses;
  for (int shard = 0; shard < options_.servers; ++shard) {
    const auto text =
        ReadFile(absl::StrCat(run_dir_, "/logs/server-", shard, ".address"));
    if (!text.ok()) return {};
    addresses.emplace_back(absl::StripAsciiWhitespace(*text));
  }
  return addresses;
}

std::optional<v1::GetStatusResponse> SoakRun::Status() {
  if (client_ == nullptr) {
    const auto addresses = Addresses();
    if (addresses.empty()) return std::nullopt;
    client_ = CoordinatorClient::Create(
        {.server = addresses[0], .unreachable_after = kStatusTimeout});
  }
  auto status = client_->GetStatus();
  if (status.ok()) return *std::move(status);
  // A connection that failed pauses before it is tried again; a new one does
  // not, and so sees a server come back at once.
  client_.reset();
  return std::nullopt;
}

nlohmann::json SoakRun::Summary() const {
  const auto text = ReadFile(run_dir_ + "/summary.json");
  if (!text.ok()) return nullptr;
  return nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
}

std::string SoakRun::Logs() const {
  std::string logs = launcher_->Output();
  for (int shard = 0; shard < options_.servers; ++shard) {
    const std::string path =
        absl::StrCat(run_dir_, "/logs/server-", shard, ".log");
    absl::StrAppend(&logs, "\n== ", path, "\n", ReadFile(path).value_or(""));
  }
  for (int worker = 0; worker < options_.workers; ++worker) {
    const std::string path =
        absl::StrCat(run_dir_, "/logs/worker-", worker, ".log");
    absl::StrAppend(&logs, "\n== ", path, "\n", ReadFile(path).value_or(""));
  }
  return logs;
}

void AdoptOrphans() {
  TESSERA_CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
}

std::vector<std::string> LeftOver() {
  Eventually([] { return Descendants(getpid(), "").empty(); },
             absl::Seconds(3));
  std::vector<std::string> lines;
  for (const pid_t pid : Descendants(getpid(), "")) {
    lines.push_back(absl::StrCat(pid, " ", CommandLine(pid)));
  }
  return lines;
}

std::optional<Ending> RunProgram(const std::vector<std::string>& argv,
                                 std::string& output) {
  Command command(argv, NewScratchFolder() + "/output");
  const auto ending = command.Wait();
  output = command.Output();
  return ending;
}

}  // namespace tessera
