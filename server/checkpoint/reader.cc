#include "server/checkpoint/reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "server/checkpoint/manifest.h"

namespace tessera {
namespace {

absl::string_view BaseName(absl::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  return path.substr(path.rfind('/') + 1);
}

// A whole set that lies in another's folder was moved there by somebody.
absl::Status CheckFolderName(const std::string& folder,
                             const v1::CheckpointManifest& manifest) {
  const SetIdentity set = IdentityOf(manifest);
  const std::string expected = SetFolderName(set.version, set.set_id);
  if (BaseName(folder) == expected) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("it is the manifest of ", ToString(set),
                   ", which belongs in a folder named ", expected));
}

absl::StatusOr<v1::CheckpointManifest> ReadManifest(Storage& storage,
                                                    const std::string& folder) {
  const std::string path = JoinPath(folder, kManifestName);
  TESSERA_ASSIGN_OR_RETURN(const std::string bytes,
                           ReadWholeFile(storage, path, kMaxManifestBytes));
  auto manifest = ParseManifest(bytes);
  if (!manifest.ok()) return InFile(path, manifest.status());
  TESSERA_RETURN_IF_ERROR(InFile(path, CheckFolderName(folder, *manifest)));
  return manifest;
}

// Reads pieces of one file, one after the other into the same memory.
class PieceReader {
 public:
  PieceReader(const ReadableFile& file, const ShardHeader& header)
      : file_(file), header_(header), geometry_(header) {}

  // The piece, header and values, checked. Valid until the next call.
  absl::StatusOr<absl::string_view> Read(int64_t run, int section) {
    const Interval elements = geometry_.RunElements(run);
    const int64_t offset = geometry_.PieceOffset(run, section);
    buffer_.resize(
        static_cast<size_t>(ShardGeometry::PieceBytes(elements.size())));
    TESSERA_RETURN_IF_ERROR(file_.Read(
        offset, static_cast<int64_t>(buffer_.size()), buffer_.data()));
    TESSERA_RETURN_IF_ERROR(
        CheckPiece(header_.set, {section, elements}, offset, buffer_));
    return buffer_;
  }

 private:
  const ReadableFile& file_;
  const ShardHeader& header_;
  const ShardGeometry geometry_;
  std::string buffer_;
};

absl::Status CopyValues(const ReadableFile& file, const ShardHeader& header,
                        int section, const Interval& elements, float* out) {
  const ShardGeometry geometry(header);
  PieceReader pieces(file, header);
  for (int64_t at = elements.begin; at < elements.end;) {
    const int64_t run = geometry.RunOfElement(at);
    TESSERA_ASSIGN_OR_RETURN(const absl::string_view piece,
                             pieces.Read(run, section));
    const Interval held = geometry.RunElements(run);
    const int64_t end = std::min(held.end, elements.end);
    // Values of a piece may lie at any address.
    std::memcpy(out + (at - elements.begin),
                piece.data() + ShardGeometry::PieceBytes(at - held.begin),
                static_cast<size_t>(end - at) * sizeof(float));
    at = end;
  }
  return absl::OkStatus();
}

absl::Status CheckAllPieces(const ReadableFile& file, const ShardEnds& ends) {
  const ShardGeometry geometry(ends.header);
  PieceReader pieces(file, ends.header);
  uint32_t pieces_crc = 0;
  for (int64_t run = 0; run < geometry.runs(); ++run) {
    for (int section = 0; section < ends.header.sections(); ++section) {
      TESSERA_ASSIGN_OR_RETURN(const absl::string_view piece,
                               pieces.Read(run, section));
      pieces_crc = ExtendPiecesCrc(pieces_crc, piece);
    }
  }
  if (pieces_crc == ends.footer.pieces_crc) return absl::OkStatus();
  return absl::DataLossError(absl::StrFormat(
      "footer at offset %d: it expects pieces with CRC 0x%08x, found 0x%08x",
      geometry.FooterOffset(), ends.footer.pieces_crc, pieces_crc));
}

}  // namespace

CheckpointReader::CheckpointReader(Storage& storage, std::string folder,
                                   v1::CheckpointManifest manifest,
                                   std::vector<ShardEnds> files)
    : storage_(&storage),
      folder_(std::move(folder)),
      manifest_(std::move(manifest)),
      files_(std::move(files)) {}

absl::StatusOr<CheckpointReader> CheckpointReader::Open(
    Storage& storage, const std::string& folder) {
  TESSERA_ASSIGN_OR_RETURN(v1::CheckpointManifest manifest,
                           ReadManifest(storage, folder));
  std::vector<ShardEnds> files;
  for (int shard = 0; shard < manifest.files_size(); ++shard) {
    TESSERA_ASSIGN_OR_RETURN(ShardEnds ends,
                             ReadShardEnds(storage, folder, manifest, shard));
    files.push_back(ends);
  }
  return CheckpointReader(storage, folder, std::move(manifest),
                          std::move(files));
}

SetIdentity CheckpointReader::set() const { return IdentityOf(manifest_); }

int64_t CheckpointReader::bytes() const { return TotalBytes(manifest_); }

std::string CheckpointReader::FilePath(int shard) const {
  return JoinPath(folder_, ShardFileName(shard, manifest_.files_size()));
}

absl::Status CheckpointReader::ReadFromFile(int shard, int section,
                                            const Interval& elements,
                                            float* out) const {
  const std::string path = FilePath(shard);
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<ReadableFile> file,
                           storage_->OpenFile(path));
  const ShardHeader& header = files_[static_cast<size_t>(shard)].header;
  return InFile(path, CopyValues(*file, header, section, elements, out));
}

absl::Status CheckpointReader::Read(int section, const Interval& elements,
                                    absl::Span<float> out) const {
  if (section < 0 || section >= sections() || elements.begin < 0 ||
      elements.end < elements.begin || elements.end > total_elements() ||
      static_cast<int64_t>(out.size()) != elements.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        folder_, " has ", sections(), " sections of ", total_elements(),
        " elements; asked for section ", section, ", elements [",
        elements.begin, ", ", elements.end, ") into ", out.size(), " values"));
  }
  for (int64_t at = elements.begin; at < elements.end;) {
    const int shard = FileOfElement(manifest_, at);
    const int64_t end =
        std::min(manifest_.files(shard).last_element(), elements.end);
    TESSERA_RETURN_IF_ERROR(ReadFromFile(shard, section, {at, end},
                                         out.data() + (at - elements.begin)));
    at = end;
  }
  return absl::OkStatus();
}

absl::Status CheckpointReader::VerifyFile(int shard) const {
  const std::string path = FilePath(shard);
  // Again from the start: the file may have changed since Open.
  TESSERA_ASSIGN_OR_RETURN(const ShardEnds ends,
                           ReadShardEnds(*storage_, folder_, manifest_, shard));
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<ReadableFile> file,
                           storage_->OpenFile(path));
  return InFile(path, CheckAllPieces(*file, ends));
}

absl::Status CheckpointReader::Verify() const {
  for (int shard = 0; shard < manifest_.files_size(); ++shard) {
    TESSERA_RETURN_IF_ERROR(VerifyFile(shard));
  }
  return absl::OkStatus();
}

}  // namespace tessera
