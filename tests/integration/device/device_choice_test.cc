// What the server and the worker say and do about --device.

#include <signal.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/exit_status.h"
#include "common/base/file.h"
#include "tests/support/command.h"
#include "tests/support/status.h"

namespace tessera {
namespace {

constexpr char kJob[] = R"pb(
  name: "device_choice"
  data_set {
    generated_linear { features: 9 train_examples: 64 test_examples: 8 }
  }
  model {
    layers { dense {} }
    loss: LOSS_MEAN_SQUARED_ERROR
  }
  batch_size: 4
  microbatches: 2
  optimizer { sgd {} }
  learning_rate { base: 0.1 }
  stop { steps: 5 }
)pb";

using Catch::Contains;

std::string ResolvedJob(const std::string& folder) {
  const std::string plain = folder + "/plain.textproto";
  const std::string resolved = folder + "/job.textproto";
  REQUIRE_OK(WriteFileAtomically(plain, kJob));
  Command launch(
      {"deploy/tessera_launch", "--job=" + plain, "--resolve_only=" + resolved},
      folder + "/launch.log");
  const auto ending = launch.Wait();
  CAPTURE(launch.Output());
  REQUIRE(ending.has_value());
  REQUIRE(ending->exit_status == kExitOk);
  return resolved;
}

class ServerRun {
 public:
  explicit ServerRun(const std::string& device)
      : folder_(NewScratchFolder()),
        port_file_(folder_ + "/port"),
        command_({"server/tessera_server", "--job=" + ResolvedJob(folder_),
                  "--device=" + device, "--port_file=" + port_file_},
                 folder_ + "/server.log") {}

  // Whether it came to serve; else it has ended.
  bool Serves() {
    REQUIRE(
        Eventually([&] { return IsServing() || !IsAlive(command_.pid()); }));
    return IsServing();
  }

  // Asks it to end if it still runs; its exit status.
  int Stop() {
    command_.Signal(SIGTERM);
    const auto ending = command_.Wait();
    REQUIRE(ending.has_value());
    return ending->exit_status;
  }

  std::string Output() const { return command_.Output(); }

 private:
  bool IsServing() const { return ReadFile(port_file_).ok(); }

  const std::string folder_;
  const std::string port_file_;
  Command command_;
};

TEST_CASE("a server on the CPU needs no driver, whatever the build") {
  ServerRun server("cpu");
  REQUIRE(server.Serves());
  REQUIRE(server.Stop() == kExitOk);
  REQUIRE_THAT(server.Output(), Contains("device cpu"));
}

TEST_CASE("auto serves on what there is, and says what that is") {
  ServerRun server("auto");
  REQUIRE(server.Serves());
  REQUIRE(server.Stop() == kExitOk);
  REQUIRE_THAT(server.Output(), Contains("device "));
}

TEST_CASE("cuda serves on a GPU, or says what is missing") {
  ServerRun server("cuda");
  if (server.Serves()) {
    REQUIRE(server.Stop() == kExitOk);
    return;
  }
  REQUIRE(server.Stop() == kExitUsage);
  REQUIRE_THAT(server.Output(),
               Contains("device cuda: this build has no CUDA") ||
                   Contains("device cuda: this machine has"));
  REQUIRE_THAT(server.Output(), Contains("use cpu or auto"));
}

TEST_CASE("other devices are refused") {
  ServerRun server("tpu");
  REQUIRE_FALSE(server.Serves());
  REQUIRE(server.Stop() == kExitUsage);
  REQUIRE_THAT(server.Output(), Contains("device tpu is none of"));
}

// A worker that is told of a server that is not there.
struct WorkerEnd {
  int exit_status = 0;
  std::string output;
};

WorkerEnd RunWorker(const std::string& device) {
  Command worker({"worker/tessera_worker", "--servers=127.0.0.1:1",
                  "--unreachable_after_seconds=1", "--device=" + device},
                 NewScratchFolder() + "/worker.log");
  const auto ending = worker.Wait();
  REQUIRE(ending.has_value());
  return {ending->exit_status, worker.Output()};
}

TEST_CASE("a worker says what it computes on, and goes on to the servers") {
  const std::string device = GENERATE("cpu", "auto");
  const WorkerEnd end = RunWorker(device);
  REQUIRE(end.exit_status == kExitFailed);
  REQUIRE_THAT(end.output,
               Contains(device == "cpu" ? "device cpu" : "device "));
}

TEST_CASE("a worker told to use what is not there says what is missing") {
  const WorkerEnd end = RunWorker("cuda");
  if (end.exit_status == kExitFailed) return;  // There is a GPU.
  REQUIRE(end.exit_status == kExitUsage);
  REQUIRE_THAT(end.output, Contains("device cuda: this build has no CUDA") ||
                               Contains("device cuda: this machine has"));
  REQUIRE_THAT(end.output, Contains("use cpu or auto"));
}

TEST_CASE("a worker refuses other devices") {
  const WorkerEnd end = RunWorker("tpu");
  REQUIRE(end.exit_status == kExitUsage);
  REQUIRE_THAT(end.output, Contains("device tpu is none of"));
}

}  // namespace
}  // namespace tessera
