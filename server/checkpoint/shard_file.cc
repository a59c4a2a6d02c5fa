#include "server/checkpoint/shard_file.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "common/storage/crc32c.h"
#include "server/checkpoint/manifest.h"

namespace tessera {
namespace {

absl::StatusOr<std::string> ReadBytes(const ReadableFile& file, int64_t offset,
                                      int64_t bytes) {
  std::string out(static_cast<size_t>(bytes), '\0');
  TESSERA_RETURN_IF_ERROR(file.Read(offset, bytes, out.data()));
  return out;
}

absl::Status CheckPinnedCrc(absl::string_view name, uint32_t pinned,
                            absl::string_view bytes) {
  const uint32_t found = LastCrc(bytes);
  if (found == pinned) return absl::OkStatus();
  return absl::DataLossError(absl::StrFormat(
      "%s: the manifest expects the one with CRC 0x%08x, found one with 0x%08x",
      name, pinned, found));
}

// What the manifest says of a file, as its header would.
absl::Status CheckAgainst(const v1::CheckpointManifest& manifest, int shard,
                          const ShardHeader& header) {
  const auto bad = [](const auto&... what) {
    return absl::DataLossError(absl::StrCat("header at offset 0: ", what...));
  };
  const SetIdentity set = IdentityOf(manifest);
  if (header.set != set) {
    return bad("expected ", ToString(set), ", found ", ToString(header.set));
  }
  if (header.shard != shard || header.shard_count != manifest.files_size()) {
    return bad("expected shard ", shard, " of ", manifest.files_size(),
               ", found shard ", header.shard, " of ", header.shard_count);
  }
  const v1::CheckpointFile& file = manifest.files(shard);
  if (header.elements.begin != file.first_element() ||
      header.elements.end != file.last_element() ||
      header.total_elements != manifest.total_elements()) {
    return bad("expected elements [", file.first_element(), ", ",
               file.last_element(), ") of ", manifest.total_elements(),
               ", found [", header.elements.begin, ", ", header.elements.end,
               ") of ", header.total_elements);
  }
  TESSERA_ASSIGN_OR_RETURN(const v1::Job job, JobOf(manifest));
  const OptimizerState expected = OptimizerStateOf(job);
  if (header.optimizer != expected) {
    return bad("the job's optimizer is of kind ", expected.kind, " with ",
               expected.slots, " slots, the file's of kind ",
               header.optimizer.kind, " with ", header.optimizer.slots);
  }
  return absl::OkStatus();
}

absl::Status CheckFooter(const ShardHeader& header, const ShardFooter& footer) {
  const ShardGeometry geometry(header);
  const auto bad = [&geometry](const auto&... what) {
    return absl::DataLossError(absl::StrCat(
        "footer at offset ", geometry.FooterOffset(), ": ", what...));
  };
  if (footer.set != header.set) {
    return bad("expected ", ToString(header.set), ", found ",
               ToString(footer.set));
  }
  if (footer.file_bytes != geometry.FileBytes() ||
      footer.pieces != geometry.pieces()) {
    return bad("expected ", geometry.pieces(), " pieces in ",
               geometry.FileBytes(), " bytes, found ", footer.pieces, " in ",
               footer.file_bytes);
  }
  return absl::OkStatus();
}

absl::StatusOr<ShardHeader> ReadHeader(const ReadableFile& file,
                                       const v1::CheckpointManifest& manifest,
                                       int shard) {
  TESSERA_ASSIGN_OR_RETURN(const std::string bytes,
                           ReadBytes(file, 0, kShardHeaderBytes));
  TESSERA_ASSIGN_OR_RETURN(const ShardHeader header, ParseShardHeader(bytes));
  TESSERA_RETURN_IF_ERROR(CheckAgainst(manifest, shard, header));
  TESSERA_RETURN_IF_ERROR(CheckPinnedCrc(
      "header at offset 0", manifest.files(shard).header_crc(), bytes));
  return header;
}

absl::StatusOr<ShardFooter> ReadFooter(const ReadableFile& file,
                                       const v1::CheckpointFile& entry,
                                       const ShardHeader& header) {
  const int64_t offset = ShardGeometry(header).FooterOffset();
  TESSERA_ASSIGN_OR_RETURN(const std::string bytes,
                           ReadBytes(file, offset, kShardFooterBytes));
  TESSERA_ASSIGN_OR_RETURN(const ShardFooter footer,
                           ParseShardFooter(bytes, offset));
  TESSERA_RETURN_IF_ERROR(CheckFooter(header, footer));
  TESSERA_RETURN_IF_ERROR(CheckPinnedCrc(
      absl::StrCat("footer at offset ", offset), entry.footer_crc(), bytes));
  return footer;
}

absl::StatusOr<ShardEnds> ReadEnds(const ReadableFile& file,
                                   const v1::CheckpointManifest& manifest,
                                   int shard) {
  const v1::CheckpointFile& entry = manifest.files(shard);
  TESSERA_ASSIGN_OR_RETURN(const int64_t bytes, file.Size());
  if (bytes != entry.file_bytes()) {
    return absl::DataLossError(
        absl::StrCat("expected ", entry.file_bytes(), " bytes, found ", bytes));
  }
  TESSERA_ASSIGN_OR_RETURN(const ShardHeader header,
                           ReadHeader(file, manifest, shard));
  if (ShardGeometry(header).FileBytes() != bytes) {
    return absl::DataLossError(absl::StrCat(
        "header at offset 0: it makes the file ",
        ShardGeometry(header).FileBytes(), " bytes long, found ", bytes));
  }
  TESSERA_ASSIGN_OR_RETURN(const ShardFooter footer,
                           ReadFooter(file, entry, header));
  return ShardEnds{header, footer};
}

}  // namespace

absl::StatusOr<ShardEnds> ReadShardEnds(Storage& storage,
                                        const std::string& folder,
                                        const v1::CheckpointManifest& manifest,
                                        int shard) {
  const std::string path =
      JoinPath(folder, ShardFileName(shard, manifest.files_size()));
  const auto file = storage.OpenFile(path);
  if (absl::IsNotFound(file.status())) {
    return absl::DataLossError(absl::StrCat(
        path, ": the manifest lists this file, and it is not there"));
  }
  if (!file.ok()) return file.status();
  auto ends = ReadEnds(**file, manifest, shard);
  if (!ends.ok()) return InFile(path, ends.status());
  return ends;
}

absl::Status InFile(const std::string& path, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(),
                      absl::StrCat(path, ": ", status.message()));
}

uint32_t ExtendPiecesCrc(uint32_t pieces_crc, absl::string_view piece) {
  const uint32_t crc = PieceCrc(piece);
  return ExtendCrc32c(pieces_crc,
                      {reinterpret_cast<const char*>(&crc), sizeof(crc)});
}

}  // namespace tessera
