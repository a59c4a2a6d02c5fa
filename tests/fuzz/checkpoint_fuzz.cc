// Reads checkpoints: a set of one manifest and up to four shards' files.
//
//   | mode, 1 byte | manifest's length, u16 | manifest | shards' files |
//
// A search by chance never meets a CRC, so in most modes they are put right
// before the set is read, and the checks behind them are what is searched.

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/base/check.h"
#include "common/job/identity.h"
#include "common/storage/crc32c.h"
#include "server/checkpoint/format.h"
#include "server/checkpoint/manifest.h"
#include "server/checkpoint/reader.h"
#include "server/checkpoint/shard_file.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/support/faulty_storage.h"

namespace tessera {
namespace {

enum class Mode : uint8_t {
  kRaw,            // Everything is as it is.
  kFixCrcs,        // The manifest is its message alone; CRCs are put right.
  kFixIdentities,  // So is to which set headers, pieces and footers belong.
};
constexpr int kModes = 3;

constexpr size_t kHeaderIdentity = 32;
constexpr size_t kPieceIdentity = 8;
constexpr size_t kFooterIdentity = 8;
constexpr size_t kPieceCrc = 4;
constexpr size_t kFooterPiecesCrc = 48;

struct Set {
  v1::CheckpointManifest manifest;
  std::string manifest_file;
  std::vector<std::string> files;
};

void PutCrc(uint32_t crc, size_t at, std::string& bytes) {
  std::memcpy(bytes.data() + at, &crc, sizeof(crc));
}

// Puts right a CRC at the end of [begin, begin + size).
void FixLastCrc(size_t begin, size_t size, std::string& file) {
  const size_t at = begin + size - sizeof(uint32_t);
  PutCrc(Crc32c(absl::string_view(file).substr(begin, at - begin)), at, file);
}

// Writes over an identity, unless `set` is null.
void PutIdentity(const SetIdentity* set, size_t at, std::string& file) {
  if (set == nullptr) return;
  const uint64_t fields[] = {set->job_fingerprint,
                             static_cast<uint64_t>(set->version),
                             set->set_id.value()};
  std::memcpy(file.data() + at, fields, sizeof(fields));
}

// The pieces' CRCs, as far as there are pieces; returns that of all CRCs.
uint32_t FixPieces(const ShardHeader& header, const SetIdentity* set,
                   std::string& file) {
  const ShardGeometry geometry(header);
  uint32_t pieces_crc = 0;
  for (int64_t run = 0; run < geometry.runs(); ++run) {
    const int64_t bytes =
        ShardGeometry::PieceBytes(geometry.RunElements(run).size());
    for (int section = 0; section < header.sections(); ++section) {
      const int64_t offset = geometry.PieceOffset(run, section);
      if (offset + bytes > std::ssize(file)) return pieces_crc;
      const auto at = static_cast<size_t>(offset);
      const auto size = static_cast<size_t>(bytes);
      PutIdentity(set, at + kPieceIdentity, file);
      const absl::string_view piece = absl::string_view(file).substr(at, size);
      PutCrc(Crc32c(piece.substr(kPieceIdentity)), at + kPieceCrc, file);
      pieces_crc = ExtendPiecesCrc(pieces_crc, piece);
    }
  }
  return pieces_crc;
}

void FixFile(const SetIdentity* set, std::string& file) {
  if (file.size() < kShardHeaderBytes + kShardFooterBytes) return;
  PutIdentity(set, kHeaderIdentity, file);
  FixLastCrc(0, kShardHeaderBytes, file);
  const auto header =
      ParseShardHeader(absl::string_view(file).substr(0, kShardHeaderBytes));
  if (!header.ok()) return;
  const uint32_t pieces_crc = FixPieces(*header, set, file);
  const size_t footer = file.size() - kShardFooterBytes;
  PutIdentity(set, footer + kFooterIdentity, file);
  PutCrc(pieces_crc, footer + kFooterPiecesCrc, file);
  FixLastCrc(footer, kShardFooterBytes, file);
}

// Cuts `rest` into the files, as the manifest says their lengths are.
std::vector<std::string> Split(const v1::CheckpointManifest& manifest,
                               absl::string_view rest) {
  std::vector<std::string> files;
  const int count = std::clamp(manifest.files_size(), 1, 4);
  for (int i = 0; i < count; ++i) {
    const bool is_last = i + 1 == count;
    const int64_t wanted =
        is_last ? std::ssize(rest) : manifest.files(i).file_bytes();
    const auto size =
        static_cast<size_t>(std::clamp<int64_t>(wanted, 0, std::ssize(rest)));
    files.emplace_back(rest.substr(0, size));
    rest.remove_prefix(size);
  }
  return files;
}

Set RawSet(absl::string_view manifest, absl::string_view rest) {
  const auto parsed = ParseManifest(manifest);
  Set set;
  if (parsed.ok()) set.manifest = *parsed;
  set.manifest_file = std::string(manifest);
  set.files = Split(set.manifest, rest);
  return set;
}

Set FixedSet(Mode mode, absl::string_view message, absl::string_view rest) {
  Set set;
  (void)set.manifest.ParseFromArray(message.data(),
                                    static_cast<int>(message.size()));
  set.manifest.set_job_fingerprint(FingerprintOfSerialized(set.manifest.job()));
  const SetIdentity identity = IdentityOf(set.manifest);
  set.files = Split(set.manifest, rest);
  for (int i = 0; i < static_cast<int>(set.files.size()); ++i) {
    std::string& file = set.files[static_cast<size_t>(i)];
    FixFile(mode == Mode::kFixIdentities ? &identity : nullptr, file);
    if (i >= set.manifest.files_size() || file.size() < kShardHeaderBytes) {
      continue;
    }
    v1::CheckpointFile& entry = *set.manifest.mutable_files(i);
    entry.set_header_crc(
        LastCrc(absl::string_view(file).substr(0, kShardHeaderBytes)));
    entry.set_footer_crc(LastCrc(file));
  }
  set.manifest_file = EncodeManifest(set.manifest);
  return set;
}

std::string Store(const Set& set, FaultyStorage& storage) {
  const SetIdentity identity = IdentityOf(set.manifest);
  const std::string folder = SetFolderName(identity.version, identity.set_id);
  TESSERA_CHECK(storage.MakeFolder(folder).ok());
  const auto write = [&](const std::string& name, const std::string& bytes) {
    const std::string path = JoinPath(folder, name);
    TESSERA_CHECK(storage.CreateFile(path).ok());
    storage.SetContents(path, bytes);
  };
  write(kManifestName, set.manifest_file);
  const int count = std::max(set.manifest.files_size(), 1);
  for (int i = 0; i < static_cast<int>(set.files.size()); ++i) {
    write(ShardFileName(i, count), set.files[static_cast<size_t>(i)]);
  }
  return folder;
}

void CheckCode(const absl::Status& status) {
  TESSERA_CHECK(status.ok() || absl::IsDataLoss(status) ||
                absl::IsFailedPrecondition(status) ||
                absl::IsOutOfRange(status));
}

// Values are the same, in whatever pieces they are asked for.
void CheckReads(const CheckpointReader& reader, bool is_whole) {
  const int64_t total = reader.total_elements();
  for (int section = 0; section < reader.sections(); ++section) {
    std::vector<float> values(static_cast<size_t>(total));
    const absl::Status status =
        reader.Read(section, {0, total}, absl::MakeSpan(values));
    CheckCode(status);
    TESSERA_CHECK(status.ok() || !is_whole);
    if (!status.ok()) continue;
    const Interval middle = {total / 3, total - total / 4};
    std::vector<float> part(static_cast<size_t>(middle.size()));
    TESSERA_CHECK(reader.Read(section, middle, absl::MakeSpan(part)).ok());
    TESSERA_CHECK(std::memcmp(part.data(), values.data() + middle.begin,
                              part.size() * sizeof(float)) == 0);
  }
  float unused = 0;
  TESSERA_CHECK(absl::IsInvalidArgument(
      reader.Read(reader.sections(), {0, 1}, absl::MakeSpan(&unused, 1))));
}

// No bit of a good set may change unseen.
void CheckFlip(const Set& set, FaultyStorage& storage,
               const std::string& folder) {
  const std::string path =
      JoinPath(folder, ShardFileName(0, set.manifest.files_size()));
  std::string file = set.files[0];
  // Another one for every input.
  const size_t bit = Crc32c(file) % (8 * file.size());
  file[bit / 8] = static_cast<char>(file[bit / 8] ^ (1 << bit % 8));
  storage.SetContents(path, file);
  const auto reader = CheckpointReader::Open(storage, folder);
  TESSERA_CHECK(!reader.ok() || !reader->Verify().ok());
}

void Check(const Set& set) {
  FaultyStorage storage(1);
  const std::string folder = Store(set, storage);
  const auto reader = CheckpointReader::Open(storage, folder);
  CheckCode(reader.status());
  if (!reader.ok()) return;
  const absl::Status whole = reader->Verify();
  CheckCode(whole);
  CheckReads(*reader, whole.ok());
  if (whole.ok()) CheckFlip(set, storage, folder);
}

}  // namespace
}  // namespace tessera

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  const auto mode = static_cast<tessera::Mode>(data[0] % tessera::kModes);
  const size_t manifest_bytes =
      std::min<size_t>(data[1] | data[2] << 8, size - 3);
  const absl::string_view bytes(reinterpret_cast<const char*>(data) + 3,
                                size - 3);
  const absl::string_view manifest = bytes.substr(0, manifest_bytes);
  const absl::string_view rest = bytes.substr(manifest_bytes);
  tessera::Check(mode == tessera::Mode::kRaw
                     ? tessera::RawSet(manifest, rest)
                     : tessera::FixedSet(mode, manifest, rest));
  return 0;
}
