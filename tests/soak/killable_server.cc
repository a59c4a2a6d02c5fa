// tessera_server over storage that kills it where it is told to; see
// kill_orders.h. Takes tessera_server's flags; or alone:
//
//   killable_server --list_kill_points

#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "common/base/exit_status.h"
#include "common/storage/posix_storage.h"
#include "server/server_main.h"
#include "tests/soak/kill_orders.h"
#include "tests/support/kill_point_storage.h"

namespace tessera {
namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// Before the server itself looks at its flags.
int ShardFromFlags(int argc, char** argv) {
  int shard = 0;
  for (int i = 1; i < argc; ++i) {
    absl::string_view flag = argv[i];
    if (!absl::ConsumePrefix(&flag, "--shard=")) continue;
    if (!absl::SimpleAtoi(flag, &shard)) shard = 0;
  }
  return shard;
}

int ListKillPoints() {
  for (const KillPoint& point : KillPoints()) {
    std::printf("%-32s %s%s\n", point.name,
                point.on_every_shard ? "every shard" : "shard 0",
                point.when_restoring ? ", when it loads a set" : "");
  }
  return kExitOk;
}

int Main(int argc, char** argv) {
  if (argc == 2 && absl::string_view(argv[1]) == "--list_kill_points") {
    return ListKillPoints();
  }
  const auto orders = ParseKillOrders(Environment("TESSERA_KILL_POINTS"));
  if (!orders.ok()) {
    std::fprintf(stderr, "TESSERA_KILL_POINTS: %s\n",
                 std::string(orders.status().message()).c_str());
    return kExitUsage;
  }
  KillOrders pending(*orders, ShardFromFlags(argc, argv),
                     Environment("TESSERA_KILL_MARKERS"));
  PosixStorage disk;
  KillPointStorage storage(
      disk, [&pending](absl::string_view point) { pending.Pass(point); });
  return ServerMain(argc, argv, storage, {});
}

}  // namespace
}  // namespace tessera

int main(int argc, char** argv) { return tessera::Main(argc, argv); }
