#include "server/service/set_source.h"

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/job/identity.h"
#include "server/checkpoint/manifest.h"

namespace tessera {
namespace {

// As large as a piece that nobody has chosen otherwise.
constexpr int64_t kAheadElements = 1 << 18;

// Tells a set that is gone from a folder that is.
absl::Status CheckRoot(Storage& storage, const std::string& root) {
  const auto names = storage.List(root);
  if (names.ok() && !names->empty()) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(
      "the checkpoint folder ", root, " ",
      names.ok() ? "is empty" : names.status().message(),
      "; is its disk there, and is it the folder that all servers share?"));
}

// Equal for jobs whose parameters go the same way.
std::string WhatCounts(v1::Job resolved_job) {
  resolved_job.clear_block_bytes();
  return SerializeJob(resolved_job);
}

}  // namespace

absl::Status CheckSetOfJob(const CheckpointReader& set, const Job& job) {
  if (set.set().job_fingerprint == job.fingerprint()) return absl::OkStatus();
  TESSERA_ASSIGN_OR_RETURN(v1::Job other, JobOf(set.manifest()));
  if (WhatCounts(std::move(other)) == WhatCounts(job.proto())) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      set.folder(), " is a checkpoint of another job (fingerprint ",
      absl::Hex(set.set().job_fingerprint, absl::kZeroPad16), "; this job \"",
      job.proto().name(), "\" has ",
      absl::Hex(job.fingerprint(), absl::kZeroPad16),
      "): give each job a folder of its own with --checkpoint_dir, or move "
      "that one away"));
}

absl::StatusOr<std::unique_ptr<SetSource>> SetSource::Open(
    Storage& storage, const std::string& root, const SetName& name,
    const Job& job, const Interval& elements) {
  TESSERA_RETURN_IF_ERROR(CheckRoot(storage, root));
  TESSERA_ASSIGN_OR_RETURN(
      CheckpointReader reader,
      CheckpointReader::Open(
          storage, JoinPath(root, SetFolderName(name.version, name.set_id))));
  TESSERA_RETURN_IF_ERROR(CheckSetOfJob(reader, job));
  return absl::WrapUnique(new SetSource(std::move(reader), elements));
}

SetSource::SetSource(CheckpointReader reader, const Interval& elements)
    : reader_(std::move(reader)),
      elements_(elements),
      ahead_(static_cast<size_t>(reader_.sections())) {}

absl::Status SetSource::Read(int section, int64_t first,
                             absl::Span<float> values) {
  const auto size = static_cast<int64_t>(values.size());
  const Interval wanted{first, first + size};
  if (section < 0 || section >= reader_.sections() || size >= kAheadElements) {
    return reader_.Read(section, wanted, values);
  }
  Ahead& ahead = ahead_[static_cast<size_t>(section)];
  if (wanted.begin < ahead.elements.begin || wanted.end > ahead.elements.end) {
    const int64_t end = std::max(
        wanted.end, std::min(wanted.begin + kAheadElements, elements_.end));
    ahead.elements = {};
    ahead.values.resize(static_cast<size_t>(end - wanted.begin));
    TESSERA_RETURN_IF_ERROR(reader_.Read(section, {wanted.begin, end},
                                         absl::MakeSpan(ahead.values)));
    ahead.elements = {wanted.begin, end};
  }
  const float* from =
      ahead.values.data() + (wanted.begin - ahead.elements.begin);
  std::copy(from, from + size, values.begin());
  return absl::OkStatus();
}

}  // namespace tessera
