#include "worker/data/idx_file.h"

#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <random>

#include "tests/support/status.h"
#include "tests/unit/data/idx_bytes.h"

namespace tessera {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// What both readers say about these bytes, plain and compressed, under names
// that say the opposite.
void RequireInvalid(const std::string& bytes, const std::string& words) {
  const std::string folder = NewFolder();
  const std::string plain = WriteTestFile(folder, "plain.gz", bytes);
  const std::string packed = WriteTestFile(folder, "packed", Gzipped(bytes));
  for (const std::string& path : {plain, packed}) {
    REQUIRE_ERROR(ReadIdxFile(path), kInvalid, path, words);
  }
}

TEST_CASE("values and dimensions come back, whatever the file's name") {
  const std::vector<uint32_t> dimensions = GENERATE(
      std::vector<uint32_t>{1}, std::vector<uint32_t>{300},
      std::vector<uint32_t>{2, 3, 4}, std::vector<uint32_t>{5, 2, 2, 3},
      // More than one piece of the reader's.
      std::vector<uint32_t>{9, 1000, 1000});
  const std::string bytes = IdxBytes(dimensions, 250, 7);
  const std::string folder = NewFolder();
  for (const std::string& path :
       {WriteTestFile(folder, "plain.gz", bytes),
        WriteTestFile(folder, "packed", Gzipped(bytes))}) {
    const auto array = ReadIdxFile(path);
    REQUIRE_OK(array);
    REQUIRE(array->dimensions ==
            std::vector<int64_t>(dimensions.begin(), dimensions.end()));
    const std::string values = bytes.substr(4 + 4 * dimensions.size());
    REQUIRE(std::string(array->values.begin(), array->values.end()) == values);
    REQUIRE(*ReadIdxDimensions(path) == array->dimensions);
  }
}

TEST_CASE("a file cut anywhere is refused") {
  const std::string bytes = IdxBytes({2, 3, 1});
  for (size_t size = 0; size < bytes.size(); ++size) {
    CAPTURE(size);
    const std::string words = size < 4    ? "inside its magic number"
                              : size < 16 ? "ends inside its dimension"
                                          : "where its dimensions say 6";
    RequireInvalid(bytes.substr(0, size), words);
  }
}

TEST_CASE("a compressed file cut anywhere is refused") {
  const std::string folder = NewFolder();
  const std::string packed = Gzipped(IdxBytes({2, 300}, 0, 13));
  for (size_t size = 0; size < packed.size(); ++size) {
    CAPTURE(size);
    const std::string path =
        WriteTestFile(folder, "cut.gz", packed.substr(0, size));
    REQUIRE_ERROR(ReadIdxFile(path), kInvalid, path);
  }
}

TEST_CASE("damaged compressed data is refused") {
  const std::string folder = NewFolder();
  std::string packed = Gzipped(IdxBytes({2, 300}, 0, 13));
  // The checksum is in the last eight bytes.
  packed[packed.size() - 7] ^= 1;
  const std::string path = WriteTestFile(folder, "damaged.gz", packed);
  REQUIRE_ERROR(ReadIdxFile(path), kInvalid, path, "damaged");
}

TEST_CASE("what follows the values is refused") {
  RequireInvalid(IdxBytes({2, 3}) + "x", "goes on after the 6 values");
}

TEST_CASE("other types, ranks and dimensions are refused") {
  RequireInvalid("P5 28 28 255\n", "starts with bytes 80 53 32 50");
  RequireInvalid(std::string("\0\0\x0d\3", 4) + std::string(20, '\0'),
                 "starts with bytes 0 0 13 3 where 0 0 8 should be");
  RequireInvalid(std::string("\1\0\x08\3", 4) + std::string(20, '\0'),
                 "starts with");
  RequireInvalid(IdxHeader({}), "has rank 0, not 1 to 4");
  RequireInvalid(IdxBytes({1, 1, 1, 1, 1}), "has rank 5, not 1 to 4");
  RequireInvalid(IdxBytes({3, 0, 2}), "is empty: dimension 1 is 0");
  RequireInvalid(IdxHeader({1u << 31, 1u << 31}), "more than 2^40 values");
  // The product overflows 64 bits to something small.
  RequireInvalid(IdxHeader({1u << 31, 1u << 31, 4, 1}), "more than 2^40");
}

TEST_CASE("memory grows with the file, not with what its header promises") {
  rusage before{};
  REQUIRE(getrusage(RUSAGE_SELF, &before) == 0);
  RequireInvalid(IdxHeader({1u << 30, 1u << 10}) + "few",
                 "holds 3 values where its dimensions say 1099511627776");
  rusage after{};
  REQUIRE(getrusage(RUSAGE_SELF, &after) == 0);
  constexpr int64_t kMaxKib = 64 << 10;
  REQUIRE(after.ru_maxrss - before.ru_maxrss < kMaxKib);
}

TEST_CASE("files that cannot be read say so") {
  const std::string folder = NewFolder();
  REQUIRE_ERROR(ReadIdxFile(folder + "/none"), absl::StatusCode::kNotFound,
                folder + "/none");
  const auto directory = ReadIdxFile(folder);
  REQUIRE_FALSE(directory.ok());
  REQUIRE(directory.status().message().find(folder) != std::string::npos);
}

TEST_CASE("random damage never does harm") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const std::string folder = NewFolder();
  const std::string plain = IdxBytes({3, 4, 5});
  const std::string packed = Gzipped(plain);
  for (int round = 0; round < 500; ++round) {
    std::string bytes = round % 2 == 0 ? plain : packed;
    bytes[random() % bytes.size()] = static_cast<char>(random());
    bytes.resize(random() % (bytes.size() + 1));
    const std::string path = WriteTestFile(folder, "file", bytes);
    const auto array = ReadIdxFile(path);
    if (array.ok()) continue;
    REQUIRE(array.status().code() == kInvalid);
  }
}

}  // namespace
}  // namespace tessera
