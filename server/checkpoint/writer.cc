#include "server/checkpoint/writer.h"

#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/storage/crc32c.h"
#include "server/checkpoint/manifest.h"
#include "server/checkpoint/shard_file.h"

namespace tessera {
namespace {

absl::Status CheckSpace(Storage& storage, const std::string& folder,
                        int64_t bytes) {
  TESSERA_ASSIGN_OR_RETURN(const int64_t free, storage.FreeBytes(folder));
  if (free >= bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("checkpoint folder ", folder, " needs ", bytes,
                   " bytes for this shard's file; its disk has ", free));
}

// That nobody wrote a file of that name. Whoever finds one repeats a call that
// has failed, or came twice.
absl::Status CheckAbsent(Storage& storage, const std::string& path) {
  const absl::Status opened = storage.OpenFile(path).status();
  if (absl::IsNotFound(opened)) return absl::OkStatus();
  if (!opened.ok()) return opened;
  return absl::AlreadyExistsError(absl::StrCat(
      path, " is there already; another attempt needs another set id"));
}

// Writes a file under a temporary name, makes it last and then gives it its
// name, lastingly.
absl::Status WriteLasting(
    Storage& storage, const std::string& folder, const std::string& name,
    absl::FunctionRef<absl::Status(WritableFile&)> write) {
  const std::string path = JoinPath(folder, name);
  const std::string temporary = path + kTemporaryEnding;
  TESSERA_RETURN_IF_ERROR(CheckAbsent(storage, path));
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<WritableFile> file,
                           storage.CreateFile(temporary));
  const auto finish = [&]() -> absl::Status {
    TESSERA_RETURN_IF_ERROR(write(*file));
    TESSERA_RETURN_IF_ERROR(file->Sync());
    TESSERA_RETURN_IF_ERROR(file->Close());
    TESSERA_RETURN_IF_ERROR(storage.Rename(temporary, path));
    return storage.SyncFolder(folder);
  };
  const absl::Status finished = finish();
  // A full disk needs the space back; if this fails too, the retention takes
  // the whole folder later.
  if (!finished.ok()) storage.RemoveFile(temporary).IgnoreError();
  return finished;
}

// Appends header, pieces and footer of one shard.
class ShardFileWriter {
 public:
  ShardFileWriter(const ShardHeader& header, CheckpointSource& source,
                  Pacer& pacer, WritableFile& file)
      : header_(header),
        geometry_(header),
        source_(source),
        pacer_(pacer),
        file_(file),
        // Of floats, so that values are aligned where they are copied to.
        piece_(static_cast<size_t>(
            ShardGeometry::PieceBytes(geometry_.RunElements(0).size()) /
            int64_t{sizeof(float)})) {}

  absl::Status Write(v1::CheckpointFile& entry) {
    const std::string head = EncodeShardHeader(header_);
    TESSERA_RETURN_IF_ERROR(file_.Append(head));
    for (int64_t run = 0; run < geometry_.runs(); ++run) {
      const Interval elements = geometry_.RunElements(run);
      for (int section = 0; section < header_.sections(); ++section) {
        TESSERA_RETURN_IF_ERROR(WritePiece({section, elements}));
      }
      source_.Release(elements.end);
    }
    const std::string foot =
        EncodeShardFooter({.set = header_.set,
                           .file_bytes = geometry_.FileBytes(),
                           .pieces = geometry_.pieces(),
                           .pieces_crc = pieces_crc_});
    TESSERA_RETURN_IF_ERROR(file_.Append(foot));
    entry.set_shard(header_.shard);
    entry.set_first_element(header_.elements.begin);
    entry.set_last_element(header_.elements.end);
    entry.set_file_bytes(geometry_.FileBytes());
    entry.set_header_crc(LastCrc(head));
    entry.set_footer_crc(LastCrc(foot));
    return absl::OkStatus();
  }

 private:
  absl::Status WritePiece(const PieceKey& key) {
    const int64_t bytes = ShardGeometry::PieceBytes(key.elements.size());
    TESSERA_RETURN_IF_ERROR(pacer_.Admit(bytes));
    constexpr size_t kHeaderFloats = kPieceHeaderBytes / sizeof(float);
    TESSERA_RETURN_IF_ERROR(source_.Read(
        key.section, key.elements,
        absl::MakeSpan(piece_).subspan(
            kHeaderFloats, static_cast<size_t>(key.elements.size()))));
    auto* data = reinterpret_cast<char*>(piece_.data());
    EncodePieceHeader(header_.set, key, data, bytes);
    const absl::string_view piece(data, static_cast<size_t>(bytes));
    pieces_crc_ = ExtendPiecesCrc(pieces_crc_, piece);
    return file_.Append(piece);
  }

  const ShardHeader& header_;
  const ShardGeometry geometry_;
  CheckpointSource& source_;
  Pacer& pacer_;
  WritableFile& file_;
  std::vector<float> piece_;
  uint32_t pieces_crc_ = 0;
};

}  // namespace

absl::StatusOr<v1::CheckpointFile> WriteShardFile(Storage& storage,
                                                  const std::string& root,
                                                  const ShardHeader& header,
                                                  CheckpointSource& source,
                                                  Pacer& pacer) {
  TESSERA_RETURN_IF_ERROR(CheckShardHeader(header));
  const std::string folder =
      JoinPath(root, SetFolderName(header.set.version, header.set.set_id));
  // Its name lasts from now on, although nothing hangs on it before the
  // manifest is there: a sync by somebody else that fails in between may drop
  // it, and later ones would not tell.
  TESSERA_RETURN_IF_ERROR(MakeLastingFolder(storage, folder));
  TESSERA_RETURN_IF_ERROR(
      CheckSpace(storage, folder, ShardGeometry(header).FileBytes()));
  v1::CheckpointFile entry;
  TESSERA_RETURN_IF_ERROR(WriteLasting(
      storage, folder, ShardFileName(header.shard, header.shard_count),
      [&](WritableFile& file) {
        return ShardFileWriter(header, source, pacer, file).Write(entry);
      }));
  return entry;
}

absl::Status WriteManifest(Storage& storage, const std::string& root,
                           const v1::CheckpointManifest& manifest) {
  TESSERA_RETURN_IF_ERROR(CheckManifest(manifest));
  const SetIdentity set = IdentityOf(manifest);
  const std::string folder =
      JoinPath(root, SetFolderName(set.version, set.set_id));
  for (const v1::CheckpointFile& file : manifest.files()) {
    TESSERA_RETURN_IF_ERROR(
        ReadShardEnds(storage, folder, manifest, file.shard()).status());
  }
  const std::string path = JoinPath(folder, kManifestName);
  // Somebody else's is not to be touched.
  TESSERA_RETURN_IF_ERROR(CheckAbsent(storage, path));
  const absl::Status written = WriteLasting(
      storage, folder, kManifestName, [&manifest](WritableFile& file) {
        return file.Append(EncodeManifest(manifest));
      });
  // A name whose sync failed may never last, whatever later syncs say, so
  // nobody is to find it: who starts anew takes what is there for good.
  if (!written.ok()) storage.RemoveFile(path).IgnoreError();
  return written;
}

}  // namespace tessera
