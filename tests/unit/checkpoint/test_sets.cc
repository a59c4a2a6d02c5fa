#include "tests/unit/checkpoint/test_sets.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/job/identity.h"
#include "server/checkpoint/manifest.h"
#include "tests/support/test_job.h"

namespace tessera {

Job AdamWTestJob() {
  // Worked out once: crash tests ask for it thousands of times.
  static const Job job =
      MakeTestJob({.parameters = 40, .optimizer = "adamw {}"});
  return job;
}

float ValueAt(int64_t version, int section, int64_t element) {
  // Odd, so that every bit varies with the element.
  const auto bits = static_cast<uint32_t>(
      (element * 3 + section + version * 1000) * 0x9e3779b1);
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

absl::Status TestSource::Read(int section, const Interval& elements,
                              absl::Span<float> out) {
  for (int64_t i = elements.begin; i < elements.end; ++i) {
    out[static_cast<size_t>(i - elements.begin)] =
        ValueAt(version_, section, i);
  }
  return absl::OkStatus();
}

SetIdentity IdentityOf(const TestSet& set) {
  return {.job_fingerprint = set.job.fingerprint(),
          .version = set.version,
          .set_id = set.set_id};
}

ShardHeader HeaderOf(const TestSet& set, int shard) {
  const ShardPlan plan = MakeTestPlan(set.job, set.shard_count);
  return {.set = IdentityOf(set),
          .shard = shard,
          .shard_count = set.shard_count,
          .elements = plan.ShardElements(shard),
          .total_elements = plan.elements(),
          .optimizer = OptimizerStateOf(set.job.proto()),
          .piece_elements = set.piece_elements};
}

std::string FolderOf(const TestSet& set) {
  return JoinPath(kRoot, SetFolderName(set.version, set.set_id));
}

std::string FileOf(const TestSet& set, int shard) {
  return JoinPath(FolderOf(set), ShardFileName(shard, set.shard_count));
}

std::string ManifestOf(const TestSet& set) {
  return JoinPath(FolderOf(set), kManifestName);
}

v1::CheckpointManifest MakeManifest(const TestSet& set,
                                    std::vector<v1::CheckpointFile> files) {
  v1::CheckpointManifest manifest;
  SetIdentityOf(IdentityOf(set), manifest);
  manifest.set_job(SerializeJob(set.job.proto()));
  manifest.set_total_elements(set.job.layout().total_elements());
  for (v1::CheckpointFile& file : files) {
    *manifest.add_files() = std::move(file);
  }
  return manifest;
}

absl::StatusOr<std::vector<v1::CheckpointFile>> WriteShardFiles(
    Storage& storage, const TestSet& set) {
  std::vector<v1::CheckpointFile> files;
  for (int shard = 0; shard < set.shard_count; ++shard) {
    TestSource source(set.version);
    NoPacer pacer;
    TESSERA_ASSIGN_OR_RETURN(
        v1::CheckpointFile file,
        WriteShardFile(storage, kRoot, HeaderOf(set, shard), source, pacer));
    files.push_back(std::move(file));
  }
  return files;
}

absl::Status WriteSet(Storage& storage, const TestSet& set) {
  TESSERA_ASSIGN_OR_RETURN(std::vector<v1::CheckpointFile> files,
                           WriteShardFiles(storage, set));
  return WriteManifest(storage, kRoot, MakeManifest(set, std::move(files)));
}

absl::Status CheckValues(const CheckpointReader& reader) {
  TESSERA_RETURN_IF_ERROR(reader.Verify());
  const int64_t version = reader.set().version;
  const Interval all{0, reader.total_elements()};
  std::vector<float> values(static_cast<size_t>(all.size()));
  for (int section = 0; section < reader.sections(); ++section) {
    TESSERA_RETURN_IF_ERROR(reader.Read(section, all, absl::MakeSpan(values)));
    for (int64_t i = 0; i < all.size(); ++i) {
      const float expected = ValueAt(version, section, i);
      if (std::memcmp(&values[static_cast<size_t>(i)], &expected,
                      sizeof(expected)) != 0) {
        return absl::InternalError(
            absl::StrCat(reader.folder(), ": other bits at element ", i,
                         " of section ", section, ", and nobody noticed"));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSet(Storage& storage, const std::string& folder) {
  TESSERA_ASSIGN_OR_RETURN(const CheckpointReader reader,
                           CheckpointReader::Open(storage, folder));
  return CheckValues(reader);
}

}  // namespace tessera
