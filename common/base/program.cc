#include "common/base/program.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <system_error>
#include <vector>

#include "absl/flags/commandlineflag.h"
#include "absl/flags/parse.h"
#include "absl/flags/reflection.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "common/base/exit_status.h"

namespace tessera {
namespace {

// Abseil ends the process with status 1 after --help; who asked for help was
// given it, so that is no failure.
void EndWell() {
  std::fflush(nullptr);
  _exit(0);
}

// Abseil ends the process with status 1 for a flag that it does not know, where
// ours is another; so it never gets to see one.
void RefuseUnknownFlags(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    absl::string_view name = argv[i];
    if (name == "--") return;
    if (!absl::ConsumePrefix(&name, "-")) continue;
    absl::ConsumePrefix(&name, "-");
    const size_t equals = name.find('=');
    name = name.substr(0, equals);
    // Abseil's own, which are not registered like others.
    if (absl::StartsWith(name, "help") || name == "version") {
      std::atexit(EndWell);
      continue;
    }
    const absl::CommandLineFlag* flag = absl::FindCommandLineFlag(name);
    if (flag != nullptr) {
      // "--flag value": the value is not for us to look at.
      if (equals == name.npos && !flag->IsOfType<bool>()) ++i;
      continue;
    }
    // "--noflag" is "--flag=false".
    if (absl::ConsumePrefix(&name, "no") &&
        absl::FindCommandLineFlag(name) != nullptr) {
      continue;
    }
    std::fprintf(stderr, "%s: there is no flag \"%s\"; see --help\n", argv[0],
                 argv[i]);
    std::exit(kExitUsage);
  }
}

}  // namespace

void ParseFlags(int argc, char** argv, absl::string_view usage,
                std::initializer_list<absl::string_view> files) {
  const std::vector<std::string> rest =
      ParseFlagsAndArguments(argc, argv, usage, files);
  if (!rest.empty()) {
    std::fprintf(stderr, "%s: what is \"%s\"? See --help\n", argv[0],
                 rest[0].c_str());
    std::exit(kExitUsage);
  }
}

std::vector<std::string> ParseFlagsAndArguments(
    int argc, char** argv, absl::string_view usage,
    std::initializer_list<absl::string_view> files) {
  absl::FlagsUsageConfig config;
  const std::set<std::string> ours(files.begin(), files.end());
  const auto is_ours = [ours](absl::string_view name) {
    return ours.contains(std::string(name));
  };
  config.contains_help_flags = is_ours;
  config.contains_helpshort_flags = is_ours;
  config.contains_helppackage_flags = is_ours;
  absl::SetFlagsUsageConfig(config);
  absl::SetProgramUsageMessage(usage);
  RefuseUnknownFlags(argc, argv);
  const std::vector<char*> rest = absl::ParseCommandLine(argc, argv);
  return {rest.begin() + 1, rest.end()};
}

std::string OwnPath() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/exe", ignored).string();
}

std::string InstalledProgram(absl::string_view name) {
  const std::filesystem::path self = OwnPath();
  return (self.parent_path().parent_path() / std::string(name)).string();
}

}  // namespace tessera
