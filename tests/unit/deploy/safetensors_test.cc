#include "deploy/report/safetensors.h"

#include <cstdint>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "tests/support/command.h"
#include "tests/support/status.h"

namespace tessera {
namespace {

using nlohmann::json;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

Layout TwoTensors() {
  // The first in the vector is the last by name.
  auto layout = Layout::Create({{.name = "z.weight", .shape = {2, 3}},
                                {.name = "a.bias", .shape = {2}}});
  REQUIRE_OK(layout);
  return *std::move(layout);
}

std::string NewPath() { return NewScratchFolder() + "/p.safetensors"; }

// A file put together by hand.
std::string FileOf(const std::string& header, size_t data_bytes) {
  const uint64_t length = header.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  return file + header + std::string(data_bytes, '\0');
}

void RequireRefused(const std::string& file, const std::string& words) {
  const std::string path = NewPath();
  REQUIRE_OK(WriteFileAtomically(path, file));
  REQUIRE_ERROR(ReadSafetensors(path), kInvalid, path, words);
}

void RequireHeaderRefused(const std::string& header, size_t data_bytes,
                          const std::string& words) {
  CAPTURE(header);
  RequireRefused(FileOf(header, data_bytes), words);
}

// A tensor's entry of a header.
std::string Entry(const std::string& name, const std::string& shape,
                  const std::string& offsets,
                  const std::string& dtype = "\"F32\"") {
  return absl::StrCat("\"", name, "\":{\"dtype\":", dtype, ",\"shape\":", shape,
                      ",\"data_offsets\":", offsets, "}");
}

TEST_CASE("what was written comes back, bit for bit, in the vector's order") {
  const std::vector<float> values = {1.5f,
                                     -0.0f,
                                     1e-45f,
                                     std::numeric_limits<float>::infinity(),
                                     std::numeric_limits<float>::max(),
                                     -2.0f,
                                     3.0f,
                                     std::numeric_limits<float>::quiet_NaN()};
  const std::string path = NewPath();
  REQUIRE_OK(WriteSafetensors(path, TwoTensors(), values));
  const auto tensors = ReadSafetensors(path);
  REQUIRE_OK(tensors);
  REQUIRE(tensors->size() == 2);
  REQUIRE((*tensors)[0].name == "z.weight");
  REQUIRE((*tensors)[0].shape == std::vector<int64_t>{2, 3});
  REQUIRE((*tensors)[1].name == "a.bias");
  REQUIRE((*tensors)[1].shape == std::vector<int64_t>{2});
  std::vector<float> read = (*tensors)[0].values;
  read.insert(read.end(), (*tensors)[1].values.begin(),
              (*tensors)[1].values.end());
  REQUIRE(read.size() == values.size());
  REQUIRE(std::memcmp(read.data(), values.data(), values.size() * 4) == 0);
}

TEST_CASE("the bytes are those of the format") {
  const std::string path = NewPath();
  REQUIRE_OK(WriteSafetensors(path, TwoTensors(), std::vector<float>(8, 1.0f)));
  const std::string file = *ReadFile(path);
  uint64_t length = 0;
  for (int i = 7; i >= 0; --i) {
    length = length * 256 + static_cast<uint8_t>(file[i]);
  }
  REQUIRE(file.size() == 8 + length + 8 * 4);
  // Readers map the file and want aligned data.
  REQUIRE((8 + length) % 8 == 0);
  REQUIRE(file[8] == '{');
  const json header = json::parse(file.substr(8, length));
  REQUIRE(header["z.weight"] ==
          json{{"dtype", "F32"}, {"shape", {2, 3}}, {"data_offsets", {0, 24}}});
  REQUIRE(header["a.bias"]["data_offsets"] == json{24, 32});
  REQUIRE(file.substr(8 + length, 4) == std::string("\0\0\x80\x3f", 4));
}

TEST_CASE("a file cut anywhere is refused") {
  const std::string path = NewPath();
  REQUIRE_OK(WriteSafetensors(path, TwoTensors(), std::vector<float>(8)));
  const std::string file = *ReadFile(path);
  for (size_t size = 0; size < file.size(); ++size) {
    CAPTURE(size);
    RequireRefused(file.substr(0, size), "is no safetensors file");
  }
}

TEST_CASE("a length that the file does not have is refused") {
  RequireRefused("1234567", "shorter than 8 bytes");
  RequireRefused(std::string(8, '\xff'), "18446744073709551615 bytes long");
  RequireRefused(std::string(8, '\0'), "no JSON object");
}

TEST_CASE("data that no tensor names is refused") {
  RequireHeaderRefused("{}", 4, "data that no tensor names");
  RequireHeaderRefused("{" + Entry("a", "[1]", "[0,4]") + "}", 8,
                       "data that no tensor names");
}

TEST_CASE("headers that are no JSON object are refused") {
  const std::string header = GENERATE("", "[]", "null", "7", "{", "{\"a\":}",
                                      " {}", "{}x", "\xff\xfe");
  RequireHeaderRefused(header, 0, "no JSON object");
}

TEST_CASE("other element types are refused") {
  const std::string dtype = GENERATE("\"F64\"", "\"BF16\"", "5", "null", "{}");
  RequireHeaderRefused("{" + Entry("a", "[1]", "[0,4]", dtype) + "}", 4,
                       "\"a\": its dtype is not F32");
}

TEST_CASE("entries that lack something are refused") {
  RequireHeaderRefused("{\"a\":3}", 0, "dtype");
  RequireHeaderRefused("{\"a\":{}}", 0, "dtype");
  RequireHeaderRefused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4,
                       "no two data_offsets");
  RequireHeaderRefused("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4,
                       "no shape");
  const std::string offsets = GENERATE("[0]", "[0,4,8]", "{}", "4");
  RequireHeaderRefused("{" + Entry("a", "[1]", offsets) + "}", 4,
                       "no two data_offsets");
}

TEST_CASE("counts that are none are refused") {
  const std::string number = GENERATE("-1", "1.0", "\"1\"", "null", "1e30");
  RequireHeaderRefused("{" + Entry("a", "[" + number + "]", "[0,4]") + "}", 4,
                       "a dimension is no count");
  RequireHeaderRefused("{" + Entry("a", "[1]", "[0," + number + "]") + "}", 4,
                       "an offset is no count");
}

TEST_CASE("shapes that need more than there is are refused, however large") {
  const std::string shape =
      GENERATE("[2]", "[4294967296,4294967296]", "[18446744073709551615]",
               "[2305843009213693952,2,2]", "[0,1]");
  const std::string header = "{" + Entry("a", shape, "[0,4]") + "}";
  const std::string path = NewPath();
  REQUIRE_OK(WriteFileAtomically(path, FileOf(header, 4)));
  CAPTURE(shape);
  REQUIRE_ERROR(ReadSafetensors(path), kInvalid, path, "shape");
}

TEST_CASE("an empty tensor's other dimensions must be counts, too") {
  RequireHeaderRefused(
      "{" + Entry("a", "[0,9223372036854775808]", "[0,0]") + "}", 0,
      "over 2^63 - 1");
}

TEST_CASE("offsets outside the data, or reversed, are refused") {
  const std::string offsets =
      GENERATE("[0,8]", "[4,0]", "[8,12]", "[0,18446744073709551612]");
  RequireHeaderRefused("{" + Entry("a", "[1]", offsets) + "}", 4,
                       "not within 4 bytes");
}

TEST_CASE("tensors that overlap or leave a gap are refused") {
  const std::string first = Entry("a", "[2]", "[0,8]");
  RequireHeaderRefused("{" + first + "," + Entry("b", "[2]", "[4,12]") + "}",
                       12, "\"b\": its data overlaps");
  RequireHeaderRefused("{" + first + "," + Entry("b", "[1]", "[12,16]") + "}",
                       16, "leaves a gap");
  RequireHeaderRefused("{" + Entry("a", "[1]", "[4,8]") + "}", 8,
                       "leaves a gap");
}

TEST_CASE("a name that is there twice is refused") {
  RequireHeaderRefused(
      "{" + Entry("a", "[1]", "[0,4]") + "," + Entry("a", "[1]", "[4,8]") + "}",
      8, "\"a\" is there twice");
}

TEST_CASE("metadata must be strings") {
  RequireHeaderRefused("{\"__metadata__\":{\"a\":1}}", 0, "__metadata__");
  RequireHeaderRefused("{\"__metadata__\":\"a\"}", 0, "__metadata__");
}

TEST_CASE("other writers' files are read: scalars, empty tensors, padding") {
  const std::string header = "{\"__metadata__\":{\"format\":\"pt\"}," +
                             Entry("scalar", "[]", "[0,4]") + "," +
                             Entry("empty", "[0,7]", "[4,4]") + "}   ";
  const std::string path = NewPath();
  REQUIRE_OK(WriteFileAtomically(path, FileOf(header, 4)));
  const auto tensors = ReadSafetensors(path);
  REQUIRE_OK(tensors);
  REQUIRE(tensors->size() == 2);
  REQUIRE((*tensors)[0].name == "scalar");
  REQUIRE((*tensors)[0].shape.empty());
  REQUIRE((*tensors)[0].values.size() == 1);
  REQUIRE((*tensors)[1].name == "empty");
  REQUIRE((*tensors)[1].values.empty());
}

TEST_CASE("names that JSON must escape come back") {
  const std::string name = "a\"b\\c\n\xc3\xa9";
  const auto layout = Layout::Create({{.name = name, .shape = {1}}});
  REQUIRE_OK(layout);
  const std::string path = NewPath();
  REQUIRE_OK(WriteSafetensors(path, *layout, std::vector<float>{4}));
  REQUIRE((*ReadSafetensors(path))[0].name == name);
}

TEST_CASE("a file that cannot be written or read is named") {
  const std::string path = "/nonexistent/p.safetensors";
  REQUIRE_ERROR(
      WriteSafetensors(path, TwoTensors(), std::vector<float>(8, 0.0f)),
      absl::StatusCode::kNotFound, path);
  REQUIRE_ERROR(ReadSafetensors(path), absl::StatusCode::kNotFound, path);
}

}  // namespace
}  // namespace tessera
