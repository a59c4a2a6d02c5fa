#include "common/base/program.h"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"

namespace tessera {
namespace {

constexpr int kExitUsage = 2;

}  // namespace

void ParseFlags(int argc, char** argv, absl::string_view usage,
                absl::string_view file) {
  absl::FlagsUsageConfig config;
  const auto is_ours = [file = std::string(file)](absl::string_view name) {
    return name == file;
  };
  config.contains_help_flags = is_ours;
  config.contains_helpshort_flags = is_ours;
  config.contains_helppackage_flags = is_ours;
  absl::SetFlagsUsageConfig(config);
  absl::SetProgramUsageMessage(usage);
  const std::vector<char*> rest = absl::ParseCommandLine(argc, argv);
  if (rest.size() > 1) {
    std::fprintf(stderr, "%s: what is \"%s\"? See --help\n", argv[0], rest[1]);
    std::exit(kExitUsage);
  }
}

}  // namespace tessera
