// What the bytes of a checkpoint mean: format version 0. When they are written
// is writer.h's business.
//
// A set is a folder; what is not complete is no set.
//
//   ROOT/checkpoint-000000000120-5f0c2a9d11e07b34/
//       shard-00000-of-00002    elements [0, n0) of the flat vector
//       shard-00001-of-00002    elements [n0, n)
//       manifest                written last: makes the set complete
//
// The folder's name is the version, 12 decimal digits or more, and the set id,
// 16 hexadecimal ones. Each attempt draws a new set id, so no attempt touches
// what another wrote. A name that ends in ".tmp" is a file being written.
//
// All numbers are little endian; all CRCs are CRC32C (common/storage/crc32c.h).
// Every byte of every file is under a CRC. IDENTITY is three u64: job
// fingerprint, version, set id.
//
// Shard file:  header | pieces | footer
//
//   header, 96 bytes                      piece header, 48 bytes
//    0  "TSRSHARD"                         0  "PIEC"
//    8  u32 format version, 0              4  u32 CRC of bytes 8 to 48 and of
//   12  u32 shard                             the values
//   16  u32 shard count                    8  IDENTITY
//   20  u32 optimizer: field number       32  u64 first element
//       in tessera.v1.Optimizer.kind      40  u32 elements
//   24  u32 slots: state values for       44  u32 section: 0 parameters,
//       each parameter                        1 + i optimizer slot i
//   28  u32 elements in a full piece     then the values, float32
//   32  IDENTITY
//   56  u64 first element                footer, 56 bytes
//   64  u64 last element, exclusive        0  "TSRSHEND"
//   72  u64 elements of the flat vector    8  IDENTITY
//   80  12 bytes of zeros                 32  u64 bytes of this file
//   92  u32 CRC of bytes 0 to 92          40  u64 pieces
//                                         48  u32 CRC of all pieces' CRCs, in
//                                             the file's order
//                                         52  u32 CRC of bytes 0 to 52
//
// The interval is cut into runs of a full piece's elements, the last shorter;
// for each run there is one piece for every section, in order. So where a piece
// lies follows from the header, any interval can be read with nothing but the
// pieces that it touches, and a writer is done with a run's memory before it
// comes to the next. Neither shards nor blocks of the reader matter.
//
// Manifest:  "TSRMANIF" | u32 format version, 0 | u32 bytes of the message |
//            a tessera.v1.CheckpointManifest | u32 CRC of all before
//
// It pins each file's header and footer by CRC, and through the footer all
// pieces.

#ifndef TESSERA_SERVER_CHECKPOINT_FORMAT_H_
#define TESSERA_SERVER_CHECKPOINT_FORMAT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/strong_id.h"
#include "common/plan/shard_plan.h"

namespace tessera {

using CheckpointSetId = StrongId<struct CheckpointSetTag>;

// Which set something belongs to.
struct SetIdentity {
  uint64_t job_fingerprint = 0;
  int64_t version = 0;
  CheckpointSetId set_id;

  friend bool operator==(const SetIdentity&, const SetIdentity&) = default;
};

// "version 120 of job 0x0123456789abcdef, set 5f0c2a9d11e07b34".
std::string ToString(const SetIdentity& set);

// What is kept for each parameter beside its value.
struct OptimizerState {
  int kind = 0;  // Field number in tessera.v1.Optimizer.kind.
  int slots = 0;

  friend bool operator==(const OptimizerState&,
                         const OptimizerState&) = default;
};

// A section is one of the arrays that are as long as the flat vector.
inline constexpr int kParameterSection = 0;
inline int SlotSection(int slot) { return 1 + slot; }

struct ShardHeader {
  SetIdentity set;
  int shard = 0;
  int shard_count = 1;
  Interval elements;
  int64_t total_elements = 0;
  OptimizerState optimizer;
  int piece_elements = 0;

  int sections() const { return 1 + optimizer.slots; }
  friend bool operator==(const ShardHeader&, const ShardHeader&) = default;
};

// A piece's place.
struct PieceKey {
  int section = kParameterSection;
  Interval elements;

  friend bool operator==(const PieceKey&, const PieceKey&) = default;
};

struct ShardFooter {
  SetIdentity set;
  int64_t file_bytes = 0;
  int64_t pieces = 0;
  uint32_t pieces_crc = 0;
};

inline constexpr int64_t kShardHeaderBytes = 96;
inline constexpr int64_t kPieceHeaderBytes = 48;
inline constexpr int64_t kShardFooterBytes = 56;
inline constexpr int kMaxPieceElements = 1 << 22;
inline constexpr int kMaxSlots = 16;
inline constexpr int kMaxShards = 1 << 20;

// Where everything lies in a shard's file. Pure; cheap to copy.
class ShardGeometry {
 public:
  // The header must be one that ParseShardHeader could give.
  explicit ShardGeometry(const ShardHeader& header);

  int64_t runs() const { return runs_; }
  int64_t pieces() const { return runs_ * header_.sections(); }
  Interval RunElements(int64_t run) const;
  int64_t RunOfElement(int64_t element) const;
  int64_t PieceOffset(int64_t run, int section) const;
  static int64_t PieceBytes(int64_t elements);
  int64_t FooterOffset() const;
  int64_t FileBytes() const { return FooterOffset() + kShardFooterBytes; }

 private:
  ShardHeader header_;
  int64_t runs_;
};

// Codes of everything that parses: DATA_LOSS for bytes that are not what was
// once written, FAILED_PRECONDITION for another format version. Messages say
// what was expected and what was found, and where.
//
// That its numbers can be.
absl::Status CheckShardHeader(const ShardHeader& header);
std::string EncodeShardHeader(const ShardHeader& header);
absl::StatusOr<ShardHeader> ParseShardHeader(absl::string_view bytes);

// Fills in the 48 bytes before the values; `piece` is header and values, with
// room for the first.
void EncodePieceHeader(const SetIdentity& set, const PieceKey& key, char* piece,
                       int64_t piece_bytes);
// The piece's CRC.
uint32_t PieceCrc(absl::string_view piece);
// Checks a piece, header and values, that lies at `offset` of its file and
// should be this one.
absl::Status CheckPiece(const SetIdentity& set, const PieceKey& key,
                        int64_t offset, absl::string_view piece);

std::string EncodeShardFooter(const ShardFooter& footer);
absl::StatusOr<ShardFooter> ParseShardFooter(absl::string_view bytes,
                                             int64_t offset);

// The CRC that ends a header or footer.
uint32_t LastCrc(absl::string_view header_or_footer);

// Names.
inline constexpr char kManifestName[] = "manifest";
inline constexpr char kTemporaryEnding[] = ".tmp";
std::string SetFolderName(int64_t version, CheckpointSetId set_id);
std::string ShardFileName(int shard, int shard_count);

struct SetName {
  int64_t version = 0;
  CheckpointSetId set_id;
};
// Nothing for a name that SetFolderName does not give.
std::optional<SetName> ParseSetFolderName(absl::string_view name);

}  // namespace tessera

#endif  // TESSERA_SERVER_CHECKPOINT_FORMAT_H_
