#include "server/checkpoint/format.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <string>

#include "common/storage/crc32c.h"
#include "tests/support/status.h"

namespace tessera {
namespace {

using absl::StatusCode;

ShardHeader SomeHeader() {
  return {.set = {.job_fingerprint = 0x1122334455667788,
                  .version = 120,
                  .set_id = CheckpointSetId(0x5f0c2a9d11e07b34)},
          .shard = 1,
          .shard_count = 3,
          .elements = {100, 121},
          .total_elements = 200,
          .optimizer = {.kind = 2, .slots = 2},
          .piece_elements = 8};
}

// Little endian, as hexadecimal digits.
std::string Hex(const std::string& bytes) {
  std::string hex;
  for (const char c : bytes) {
    absl::StrAppend(&hex, absl::Hex(static_cast<uint8_t>(c), absl::kZeroPad2));
  }
  return hex;
}

// Byte for byte: files of version 0 must be read for ever.
TEST_CASE("a header's bytes", "[format]") {
  const std::string bytes = EncodeShardHeader(SomeHeader());
  REQUIRE(bytes.size() == kShardHeaderBytes);
  CHECK(bytes.substr(0, 8) == "TSRSHARD");
  CHECK(Hex(bytes.substr(8, 84)) ==
        "00000000"  // Format version.
        "01000000"
        "03000000"
        "02000000"
        "02000000"
        "08000000"
        "8877665544332211"
        "7800000000000000"
        "347be0119d2a0c5f"
        "6400000000000000"
        "7900000000000000"
        "c800000000000000"
        "000000000000000000000000");
  CHECK(LastCrc(bytes) == Crc32c(bytes.substr(0, 92)));
  CHECK(ParseShardHeader(bytes).value() == SomeHeader());
}

TEST_CASE("a piece's bytes", "[format]") {
  const SetIdentity set = SomeHeader().set;
  const PieceKey key{.section = SlotSection(1), .elements = {108, 110}};
  std::string piece(kPieceHeaderBytes + 8, '\0');
  const float values[] = {1.0f, -2.0f};
  std::memcpy(piece.data() + kPieceHeaderBytes, values, sizeof(values));
  EncodePieceHeader(set, key, piece.data(), static_cast<int64_t>(piece.size()));
  CHECK(piece.substr(0, 4) == "PIEC");
  CHECK(Hex(piece.substr(8)) ==
        "8877665544332211"
        "7800000000000000"
        "347be0119d2a0c5f"
        "6c00000000000000"
        "02000000"
        "02000000"
        "0000803f"
        "000000c0");
  CHECK(PieceCrc(piece) == Crc32c(piece.substr(8)));
  CHECK(CheckPiece(set, key, 0, piece).ok());

  SECTION("another set's") {
    SetIdentity other = set;
    other.version = 121;
    CHECK_THAT(CheckPiece(other, key, 960, piece),
               IsError(StatusCode::kDataLoss, "piece at offset 960",
                       "expected version 121", "found version 120"));
  }
  SECTION("from another place") {
    CHECK_THAT(
        CheckPiece(set, {kParameterSection, {108, 110}}, 0, piece),
        IsError(StatusCode::kDataLoss, "expected parameters of elements [108",
                "found optimizer slot 1"));
    CHECK_THAT(CheckPiece(set, {key.section, {100, 102}}, 0, piece),
               IsError(StatusCode::kDataLoss, "expected", "[100, 102)", "found",
                       "[108, 110)"));
  }
  SECTION("no piece at all") {
    piece[0] = 'Q';
    CHECK_THAT(CheckPiece(set, key, 0, piece),
               IsError(StatusCode::kDataLoss, "\"PIEC\""));
  }
  SECTION("a flipped bit") {
    piece[50] ^= 4;
    CHECK_THAT(CheckPiece(set, key, 0, piece),
               IsError(StatusCode::kDataLoss, "CRC"));
  }
}

TEST_CASE("a footer's bytes", "[format]") {
  const ShardFooter footer{.set = SomeHeader().set,
                           .file_bytes = 1000,
                           .pieces = 9,
                           .pieces_crc = 0x01020304};
  const std::string bytes = EncodeShardFooter(footer);
  REQUIRE(bytes.size() == kShardFooterBytes);
  CHECK(bytes.substr(0, 8) == "TSRSHEND");
  CHECK(Hex(bytes.substr(8, 44)) ==
        "8877665544332211"
        "7800000000000000"
        "347be0119d2a0c5f"
        "e803000000000000"
        "0900000000000000"
        "04030201");
  CHECK(LastCrc(bytes) == Crc32c(bytes.substr(0, 52)));
  CHECK(ParseShardFooter(bytes, 944)->pieces_crc == 0x01020304);
  CHECK_THAT(
      ParseShardFooter(bytes.substr(1), 944).status(),
      IsError(StatusCode::kDataLoss, "footer at offset 944", "56", "55"));
}

TEST_CASE("another format version is not called damage", "[format]") {
  std::string bytes = EncodeShardHeader(SomeHeader());
  bytes[8] = 1;
  CHECK_THAT(
      ParseShardHeader(bytes).status(),
      IsError(StatusCode::kFailedPrecondition, "format version 1", "reads 0"));
}

TEST_CASE("numbers that cannot be are refused, CRC or not", "[format]") {
  const auto refused = [](auto change) {
    ShardHeader header = SomeHeader();
    change(header);
    CHECK_THAT(ParseShardHeader(EncodeShardHeader(header)).status(),
               IsError(StatusCode::kDataLoss, "cannot be"));
  };
  refused([](ShardHeader& h) { h.set.version = -1; });
  refused([](ShardHeader& h) { h.set.set_id = CheckpointSetId(0); });
  refused([](ShardHeader& h) { h.shard = -1; });
  refused([](ShardHeader& h) { h.shard = 3; });
  refused([](ShardHeader& h) { h.shard_count = kMaxShards + 1; });
  refused([](ShardHeader& h) { h.elements.begin = -1; });
  refused([](ShardHeader& h) { h.elements.end = 100; });
  refused([](ShardHeader& h) { h.elements.end = 201; });
  refused([](ShardHeader& h) { h.total_elements = (int64_t{1} << 48) + 1; });
  refused([](ShardHeader& h) { h.optimizer.slots = -1; });
  refused([](ShardHeader& h) { h.optimizer.slots = kMaxSlots + 1; });
  refused([](ShardHeader& h) { h.piece_elements = 0; });
  refused([](ShardHeader& h) { h.piece_elements = kMaxPieceElements + 1; });
}

TEST_CASE("pieces lie end to end", "[format]") {
  const int piece_elements = GENERATE(1, 7, 8, 20, 21, 22, 1000);
  const int slots = GENERATE(0, 1, 2);
  ShardHeader header = SomeHeader();
  header.piece_elements = piece_elements;
  header.optimizer.slots = slots;
  const ShardGeometry geometry(header);
  int64_t offset = kShardHeaderBytes;
  int64_t element = header.elements.begin;
  for (int64_t run = 0; run < geometry.runs(); ++run) {
    const Interval elements = geometry.RunElements(run);
    CHECK(elements.begin == element);
    CHECK(elements.size() >= 1);
    CHECK(elements.size() <= piece_elements);
    CHECK(geometry.RunOfElement(elements.begin) == run);
    CHECK(geometry.RunOfElement(elements.end - 1) == run);
    for (int section = 0; section <= slots; ++section) {
      CHECK(geometry.PieceOffset(run, section) == offset);
      offset += ShardGeometry::PieceBytes(elements.size());
    }
    element = elements.end;
  }
  CHECK(element == header.elements.end);
  CHECK(geometry.FooterOffset() == offset);
  CHECK(geometry.FileBytes() == offset + kShardFooterBytes);
}

TEST_CASE("names", "[format]") {
  CHECK(SetFolderName(120, CheckpointSetId(0x2a)) ==
        "checkpoint-000000000120-000000000000002a");
  CHECK(ShardFileName(3, 16) == "shard-00003-of-00016");
  const auto set =
      ParseSetFolderName("checkpoint-000000000120-000000000000002a");
  REQUIRE(set.has_value());
  CHECK(set->version == 120);
  CHECK(set->set_id == CheckpointSetId(0x2a));
  // More digits than twelve, where there must be.
  CHECK(ParseSetFolderName(SetFolderName(1234567890123456, CheckpointSetId(1)))
            ->version == 1234567890123456);
  for (const char* name :
       {"", "checkpoint-", "checkpoint-1-2a", "checkpoint-000000000120",
        "checkpoint-000000000120-", "checkpoint-000000000120-2A",
        "checkpoint-000000000120-000000000000002A",
        "checkpoint-000000000120-000000000000002a.tmp",
        "checkpoint--00000000120-000000000000002a",
        "Checkpoint-000000000120-000000000000002a"}) {
    CAPTURE(name);
    CHECK(!ParseSetFolderName(name).has_value());
  }
}

}  // namespace
}  // namespace tessera
