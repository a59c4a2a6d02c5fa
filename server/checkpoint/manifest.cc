#include "server/checkpoint/manifest.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "common/job/identity.h"
#include "server/checkpoint/byte_fields.h"

namespace tessera {
namespace {

constexpr absl::string_view kMagic = "TSRMANIF";
constexpr size_t kPrefixBytes = 16;
constexpr size_t kCrcBytes = 4;

template <typename... Parts>
absl::Status Bad(const Parts&... what) {
  return absl::DataLossError(absl::StrCat("manifest: ", what...));
}

// That the intervals follow one another without a gap.
absl::Status CheckFiles(const v1::CheckpointManifest& manifest) {
  if (manifest.files_size() < 1 || manifest.files_size() > kMaxShards) {
    return Bad("it lists ", manifest.files_size(), " files");
  }
  int64_t expected = 0;
  for (int i = 0; i < manifest.files_size(); ++i) {
    const v1::CheckpointFile& file = manifest.files(i);
    if (file.shard() != i) {
      return Bad("expected the file of shard ", i, ", found that of shard ",
                 file.shard());
    }
    if (file.first_element() != expected ||
        file.last_element() <= file.first_element()) {
      return Bad("the file of shard ", i, " should begin at element ", expected,
                 " and not be empty; it has [", file.first_element(), ", ",
                 file.last_element(), ")");
    }
    expected = file.last_element();
  }
  if (expected == manifest.total_elements()) return absl::OkStatus();
  return Bad("its files end at element ", expected, ", the vector at ",
             manifest.total_elements());
}

}  // namespace

SetIdentity IdentityOf(const v1::CheckpointManifest& manifest) {
  return {.job_fingerprint = manifest.job_fingerprint(),
          .version = manifest.version(),
          .set_id = CheckpointSetId(manifest.set_id())};
}

void SetIdentityOf(const SetIdentity& set, v1::CheckpointManifest& manifest) {
  manifest.set_job_fingerprint(set.job_fingerprint);
  manifest.set_version(set.version);
  manifest.set_set_id(set.set_id.value());
}

absl::StatusOr<v1::Job> JobOf(const v1::CheckpointManifest& manifest) {
  const uint64_t fingerprint = FingerprintOfSerialized(manifest.job());
  if (fingerprint != manifest.job_fingerprint()) {
    return Bad(absl::StrFormat(
        "expected a job with fingerprint 0x%016x, found one with 0x%016x",
        manifest.job_fingerprint(), fingerprint));
  }
  v1::Job job;
  if (job.ParseFromString(manifest.job())) return job;
  return Bad("what should be its job is no tessera.v1.Job");
}

OptimizerState OptimizerStateOf(const v1::Job& resolved_job) {
  const v1::Optimizer& optimizer = resolved_job.optimizer();
  OptimizerState state{.kind = static_cast<int>(optimizer.kind_case())};
  if (optimizer.has_adamw()) state.slots = 2;
  if (optimizer.sgd().momentum() > 0) state.slots = 1;
  return state;
}

int64_t TotalBytes(const v1::CheckpointManifest& manifest) {
  int64_t bytes = 0;
  for (const v1::CheckpointFile& file : manifest.files()) {
    bytes += file.file_bytes();
  }
  return bytes;
}

int FileOfElement(const v1::CheckpointManifest& manifest, int64_t element) {
  const auto after = std::partition_point(
      manifest.files().begin(), manifest.files().end(),
      [element](const auto& file) { return file.last_element() <= element; });
  return static_cast<int>(after - manifest.files().begin());
}

absl::Status CheckManifest(const v1::CheckpointManifest& manifest) {
  if (manifest.version() < 0 || manifest.set_id() == 0) {
    return Bad("its identity cannot be: ", ToString(IdentityOf(manifest)));
  }
  TESSERA_RETURN_IF_ERROR(JobOf(manifest).status());
  return CheckFiles(manifest);
}

std::string EncodeManifest(const v1::CheckpointManifest& manifest) {
  const std::string message = SerializeInOrder(manifest);
  FieldWriter out;
  out.Bytes(kMagic);
  out.U32(kFormatVersion);
  out.U32(static_cast<uint32_t>(message.size()));
  out.Bytes(message);
  return out.FinishWithCrc();
}

absl::StatusOr<v1::CheckpointManifest> ParseManifest(absl::string_view bytes) {
  if (bytes.size() < kPrefixBytes + kCrcBytes) {
    return Bad("it is cut off after ", bytes.size(), " bytes");
  }
  FieldReader in(bytes);
  in.Skip(kMagic.size() + sizeof(uint32_t));
  const int64_t message_bytes = in.U32();
  TESSERA_RETURN_IF_ERROR(CheckFrame(
      {.name = "manifest", .magic = kMagic, .has_version = true}, bytes,
      message_bytes + static_cast<int64_t>(kPrefixBytes + kCrcBytes), 0));
  v1::CheckpointManifest manifest;
  if (!manifest.ParseFromArray(bytes.data() + kPrefixBytes,
                               static_cast<int>(message_bytes))) {
    return Bad("its message is no tessera.v1.CheckpointManifest");
  }
  TESSERA_RETURN_IF_ERROR(CheckManifest(manifest));
  return manifest;
}

}  // namespace tessera
