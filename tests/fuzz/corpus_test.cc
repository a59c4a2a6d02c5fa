// Runs a fuzz target on its corpus: seeds, and every input that once broke it.

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "common/base/file.h"
#include "tests/fuzz/fuzz_target.h"

namespace tessera {
namespace {

void Run(const std::string& input) {
  // A copy of just that size, so that AddressSanitizer sees every read beyond.
  const std::vector<uint8_t> bytes(input.begin(), input.end());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

TEST_CASE("every input of the corpus is handled") {
  std::vector<std::string> paths;
  for (const auto& entry :
       std::filesystem::directory_iterator(TESSERA_CORPUS)) {
    paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  // Fewer would mean that the files are not where they should be.
  REQUIRE(paths.size() >= 3);
  for (const std::string& path : paths) {
    // Also printed when the target ends the process.
    INFO(path);
    const auto input = ReadFile(path);
    REQUIRE(input.ok());
    Run(*input);
  }
}

TEST_CASE("every beginning of an input is handled") {
  for (const auto& entry :
       std::filesystem::directory_iterator(TESSERA_CORPUS)) {
    INFO(entry.path().string());
    const auto input = ReadFile(entry.path().string());
    REQUIRE(input.ok());
    const size_t longest = std::min<size_t>(input->size(), 512);
    for (size_t size = 0; size < longest; ++size) {
      CAPTURE(size);
      Run(input->substr(0, size));
    }
  }
}

}  // namespace
}  // namespace tessera
