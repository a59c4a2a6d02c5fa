#include "deploy/launch/checkpoint_folder.h"

#include <filesystem>
#include <string>

#include "common/base/file.h"
#include "common/storage/posix_storage.h"
#include "deploy/ctl/commands.h"
#include "deploy/report/safetensors.h"
#include "tests/support/command.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"

namespace tessera {
namespace {

using absl::StatusCode;

// A folder that holds one complete checkpoint; returns the set's own folder.
std::string MakeSet(const std::string& root) {
  const Job job = MakeTestJob({.parameters = 5});
  const std::string weights = NewScratchFolder() + "/weights.safetensors";
  REQUIRE_OK(
      WriteSafetensors(weights, job.layout(), std::vector<float>(5, 1.0f)));
  PosixStorage storage;
  REQUIRE_OK(Import(storage, weights, root,
                    {.job = job, .set_id = CheckpointSetId(0xabc)})
                 .status());
  return root + "/checkpoint-000000000000-0000000000000abc";
}

TEST_CASE("a folder without sets is made, and nothing to resume from") {
  const std::string root = NewScratchFolder() + "/deep/checkpoints";
  REQUIRE_ERROR(PrepareCheckpointFolder({.path = root, .resume = true}),
                StatusCode::kNotFound, "no complete checkpoint", root);
  REQUIRE_OK(PrepareCheckpointFolder({.path = root}));
  REQUIRE(std::filesystem::is_directory(root));
  REQUIRE_OK(PrepareCheckpointFolder({.path = root}));
  REQUIRE_ERROR(PrepareCheckpointFolder({.path = root, .resume = true}),
                StatusCode::kNotFound, "no complete checkpoint", root);
}

TEST_CASE("a complete set is resumed from or removed, never overlooked") {
  const std::string root = NewScratchFolder() + "/checkpoints";
  const std::string set = MakeSet(root);
  REQUIRE_OK(WriteFileAtomically(root + "/notes", "the user's own"));
  REQUIRE_OK(PrepareCheckpointFolder({.path = root, .resume = true}));
  REQUIRE_ERROR(PrepareCheckpointFolder({.path = root}),
                StatusCode::kAlreadyExists, root, "--resume", "--overwrite");
  REQUIRE(std::filesystem::exists(set + "/manifest"));
  REQUIRE_OK(PrepareCheckpointFolder({.path = root, .overwrite = true}));
  REQUIRE_FALSE(std::filesystem::exists(set));
  REQUIRE(std::filesystem::exists(root + "/notes"));
}

TEST_CASE("sets that are not complete are no way to go on, and say why") {
  const std::string root = NewScratchFolder() + "/checkpoints";
  const std::string set = MakeSet(root);
  SECTION("no manifest") { std::filesystem::remove(set + "/manifest"); }
  SECTION("a damaged one") {
    REQUIRE_OK(WriteFileAtomically(set + "/manifest", "nonsense"));
  }
  REQUIRE_ERROR(PrepareCheckpointFolder({.path = root, .resume = true}),
                StatusCode::kNotFound, "no complete checkpoint", set);
}

}  // namespace
}  // namespace tessera
