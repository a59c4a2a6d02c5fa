#include "server/checkpoint/format.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/storage/crc32c.h"
#include "server/checkpoint/byte_fields.h"

namespace tessera {
namespace {

constexpr absl::string_view kHeaderMagic = "TSRSHARD";
constexpr absl::string_view kPieceMagic = "PIEC";
constexpr absl::string_view kFooterMagic = "TSRSHEND";
constexpr size_t kHeaderZeros = 12;
// Where a piece's CRC lies, and from where on it counts.
constexpr size_t kPieceCrcOffset = 4;
constexpr size_t kPieceCrcBegin = 8;
// Common to this code and Layout: more elements no vector has.
constexpr int64_t kMaxElements = int64_t{1} << 48;

void PutIdentity(const SetIdentity& set, FieldWriter& out) {
  out.U64(set.job_fingerprint);
  out.I64(set.version);
  out.U64(set.set_id.value());
}

SetIdentity GetIdentity(FieldReader& in) {
  SetIdentity set;
  set.job_fingerprint = in.U64();
  set.version = in.I64();
  set.set_id = CheckpointSetId(in.U64());
  return set;
}

std::string Describe(const PieceKey& key) {
  return absl::StrCat(
      key.section == kParameterSection
          ? "parameters"
          : absl::StrCat("optimizer slot ", int64_t{key.section} - 1),
      " of elements [", key.elements.begin, ", ", key.elements.end, ")");
}

}  // namespace

std::string ToString(const SetIdentity& set) {
  return absl::StrFormat("version %d of job 0x%016x, set %016x", set.version,
                         set.job_fingerprint, set.set_id.value());
}

ShardGeometry::ShardGeometry(const ShardHeader& header)
    : header_(header),
      runs_((header.elements.size() + header.piece_elements - 1) /
            header.piece_elements) {}

Interval ShardGeometry::RunElements(int64_t run) const {
  const int64_t begin = header_.elements.begin + run * header_.piece_elements;
  return {begin,
          std::min(begin + header_.piece_elements, header_.elements.end)};
}

int64_t ShardGeometry::RunOfElement(int64_t element) const {
  return (element - header_.elements.begin) / header_.piece_elements;
}

int64_t ShardGeometry::PieceBytes(int64_t elements) {
  return kPieceHeaderBytes + elements * int64_t{sizeof(float)};
}

int64_t ShardGeometry::PieceOffset(int64_t run, int section) const {
  return kShardHeaderBytes +
         run * header_.sections() * PieceBytes(header_.piece_elements) +
         section * PieceBytes(RunElements(run).size());
}

int64_t ShardGeometry::FooterOffset() const {
  return PieceOffset(runs_ - 1, header_.sections());
}

absl::Status CheckShardHeader(const ShardHeader& h) {
  const bool is_good =
      h.set.version >= 0 && !h.set.set_id.is_none() && h.shard >= 0 &&
      h.shard < h.shard_count && h.shard_count <= kMaxShards &&
      h.elements.begin >= 0 && h.elements.begin < h.elements.end &&
      h.elements.end <= h.total_elements && h.total_elements <= kMaxElements &&
      h.optimizer.kind >= 0 && h.optimizer.slots >= 0 &&
      h.optimizer.slots <= kMaxSlots && h.piece_elements >= 1 &&
      h.piece_elements <= kMaxPieceElements;
  if (is_good) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(
      "header at offset 0: its numbers cannot be: shard ", h.shard, " of ",
      h.shard_count, ", elements [", h.elements.begin, ", ", h.elements.end,
      ") of ", h.total_elements, ", ", h.optimizer.slots, " slots, pieces of ",
      h.piece_elements, " elements, ", ToString(h.set)));
}

std::string EncodeShardHeader(const ShardHeader& header) {
  FieldWriter out;
  out.Bytes(kHeaderMagic);
  out.U32(kFormatVersion);
  out.I32(header.shard);
  out.I32(header.shard_count);
  out.I32(header.optimizer.kind);
  out.I32(header.optimizer.slots);
  out.I32(header.piece_elements);
  PutIdentity(header.set, out);
  out.I64(header.elements.begin);
  out.I64(header.elements.end);
  out.I64(header.total_elements);
  out.Bytes(std::string(kHeaderZeros, '\0'));
  return out.FinishWithCrc();
}

absl::StatusOr<ShardHeader> ParseShardHeader(absl::string_view bytes) {
  TESSERA_RETURN_IF_ERROR(
      CheckFrame({.name = "header", .magic = kHeaderMagic, .has_version = true},
                 bytes, kShardHeaderBytes, 0));
  FieldReader in(bytes);
  in.Skip(kHeaderMagic.size() + sizeof(uint32_t));
  ShardHeader header;
  header.shard = in.I32();
  header.shard_count = in.I32();
  header.optimizer.kind = in.I32();
  header.optimizer.slots = in.I32();
  header.piece_elements = in.I32();
  header.set = GetIdentity(in);
  header.elements.begin = in.I64();
  header.elements.end = in.I64();
  header.total_elements = in.I64();
  // That these numbers go with a CRC says only that somebody wrote them.
  TESSERA_RETURN_IF_ERROR(CheckShardHeader(header));
  return header;
}

void EncodePieceHeader(const SetIdentity& set, const PieceKey& key, char* piece,
                       int64_t piece_bytes) {
  FieldWriter out;
  out.Bytes(kPieceMagic);
  out.U32(0);  // The CRC, which is still to come.
  PutIdentity(set, out);
  out.I64(key.elements.begin);
  out.I32(static_cast<int>(key.elements.size()));
  out.I32(key.section);
  const std::string header = out.Finish();
  std::memcpy(piece, header.data(), header.size());
  const absl::string_view whole(piece, static_cast<size_t>(piece_bytes));
  const uint32_t crc = Crc32c(whole.substr(kPieceCrcBegin));
  std::memcpy(piece + kPieceCrcOffset, &crc, sizeof(crc));
}

uint32_t PieceCrc(absl::string_view piece) {
  FieldReader in(piece.substr(kPieceCrcOffset));
  return in.U32();
}

absl::Status CheckPiece(const SetIdentity& set, const PieceKey& key,
                        int64_t offset, absl::string_view piece) {
  const auto bad = [&](const auto&... what) {
    return absl::DataLossError(
        absl::StrCat("piece at offset ", offset, ": ", what...));
  };
  TESSERA_CHECK(static_cast<int64_t>(piece.size()) ==
                ShardGeometry::PieceBytes(key.elements.size()));
  if (!absl::ConsumePrefix(&piece, kPieceMagic)) {
    return bad("expected the word \"", kPieceMagic, "\", found other bytes");
  }
  FieldReader in(piece);
  const uint32_t stored = in.U32();
  const uint32_t actual =
      Crc32c(piece.substr(kPieceCrcBegin - kPieceMagic.size()));
  if (stored != actual) return bad(CrcMismatch(stored, actual));
  const SetIdentity found_set = GetIdentity(in);
  if (found_set != set) {
    return bad("expected ", ToString(set), ", found ", ToString(found_set));
  }
  PieceKey found;
  found.elements.begin = in.I64();
  // A CRC keeps nobody from writing numbers whose sum no int64 holds.
  found.elements.end =
      static_cast<int64_t>(static_cast<uint64_t>(found.elements.begin) +
                           static_cast<uint64_t>(in.I32()));
  found.section = in.I32();
  if (found != key) {
    return bad("expected ", Describe(key), ", found ", Describe(found));
  }
  return absl::OkStatus();
}

std::string EncodeShardFooter(const ShardFooter& footer) {
  FieldWriter out;
  out.Bytes(kFooterMagic);
  PutIdentity(footer.set, out);
  out.I64(footer.file_bytes);
  out.I64(footer.pieces);
  out.U32(footer.pieces_crc);
  return out.FinishWithCrc();
}

absl::StatusOr<ShardFooter> ParseShardFooter(absl::string_view bytes,
                                             int64_t offset) {
  TESSERA_RETURN_IF_ERROR(CheckFrame({.name = "footer", .magic = kFooterMagic},
                                     bytes, kShardFooterBytes, offset));
  FieldReader in(bytes);
  in.Skip(kFooterMagic.size());
  ShardFooter footer;
  footer.set = GetIdentity(in);
  footer.file_bytes = in.I64();
  footer.pieces = in.I64();
  footer.pieces_crc = in.U32();
  return footer;
}

uint32_t LastCrc(absl::string_view header_or_footer) {
  FieldReader in(
      header_or_footer.substr(header_or_footer.size() - sizeof(uint32_t)));
  return in.U32();
}

std::string SetFolderName(int64_t version, CheckpointSetId set_id) {
  return absl::StrFormat("checkpoint-%012d-%016x", version, set_id.value());
}

std::string ShardFileName(int shard, int shard_count) {
  return absl::StrFormat("shard-%05d-of-%05d", shard, shard_count);
}

std::optional<SetName> ParseSetFolderName(absl::string_view name) {
  absl::string_view rest = name;
  if (!absl::ConsumePrefix(&rest, "checkpoint-")) return std::nullopt;
  const size_t dash = rest.find('-');
  if (dash == rest.npos) return std::nullopt;
  SetName set;
  uint64_t set_id;
  if (!absl::SimpleAtoi(rest.substr(0, dash), &set.version) ||
      !absl::SimpleHexAtoi(rest.substr(dash + 1), &set_id)) {
    return std::nullopt;
  }
  set.set_id = CheckpointSetId(set_id);
  // Numbers can be written in more than one way; names cannot.
  if (SetFolderName(set.version, set.set_id) != name) return std::nullopt;
  return set;
}

}  // namespace tessera
