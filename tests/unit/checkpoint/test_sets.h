// Small checkpoints whose every value is known.

#ifndef TESSERA_TESTS_UNIT_CHECKPOINT_TEST_SETS_H_
#define TESSERA_TESTS_UNIT_CHECKPOINT_TEST_SETS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/job/job.h"
#include "common/plan/shard_plan.h"
#include "common/storage/storage.h"
#include "server/checkpoint/format.h"
#include "server/checkpoint/reader.h"
#include "server/checkpoint/writer.h"
#include "tessera/v1/checkpoint.pb.h"

namespace tessera {

inline constexpr char kRoot[] = "ckpt";

// What a test's checkpoint is of.
struct TestSet {
  Job job;
  int64_t version = 7;
  CheckpointSetId set_id{0xabc};
  int shard_count = 2;
  int piece_elements = 8;
};

// AdamW, 40 parameters, blocks of 16: two shards of 16 and 24, two slots.
Job AdamWTestJob();

// The value of an element of a section at a version; bits of all kinds, NaNs
// among them.
float ValueAt(int64_t version, int section, int64_t element);

// Gives just these values.
class TestSource : public CheckpointSource {
 public:
  explicit TestSource(int64_t version) : version_(version) {}
  absl::Status Read(int section, const Interval& elements,
                    absl::Span<float> out) override;
  void Release(int64_t end) override { released_ = end; }
  int64_t released() const { return released_; }

 private:
  const int64_t version_;
  int64_t released_ = 0;
};

SetIdentity IdentityOf(const TestSet& set);
ShardHeader HeaderOf(const TestSet& set, int shard);
std::string FolderOf(const TestSet& set);
// FolderOf / the shard's file.
std::string FileOf(const TestSet& set, int shard);
std::string ManifestOf(const TestSet& set);

// Writes all shards' files: what the manifest says of them.
absl::StatusOr<std::vector<v1::CheckpointFile>> WriteShardFiles(
    Storage& storage, const TestSet& set);
// Writes the whole set as servers would. OK is the acknowledgement.
absl::Status WriteSet(Storage& storage, const TestSet& set);
// The manifest that WriteSet writes, for files written so far.
v1::CheckpointManifest MakeManifest(const TestSet& set,
                                    std::vector<v1::CheckpointFile> files);

// Whether the reader gives exactly ValueAt's bits, everywhere, and verifies.
// An error says where not.
absl::Status CheckValues(const CheckpointReader& reader);
// Opens and checks.
absl::Status CheckSet(Storage& storage, const std::string& folder);

}  // namespace tessera

#endif  // TESSERA_TESTS_UNIT_CHECKPOINT_TEST_SETS_H_
