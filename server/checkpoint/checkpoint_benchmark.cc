// What a checkpoint costs: CRC32C from cache and from memory, and one shard's
// set written (all syncs included), verified and read back, on the disk of
// --dir. Every figure is the median over repetitions, with the fastest beside
// it. Reading finds the file in the page cache, so it shows the cost of
// checking and copying, not the disk's speed.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/exit_status.h"
#include "common/base/program.h"
#include "common/base/status_macros.h"
#include "common/job/identity.h"
#include "common/storage/crc32c.h"
#include "common/storage/posix_storage.h"
#include "server/checkpoint/manifest.h"
#include "server/checkpoint/reader.h"
#include "server/checkpoint/sets.h"
#include "server/checkpoint/writer.h"

ABSL_FLAG(std::string, dir, "/tmp/tessera-checkpoint-benchmark",
          "Folder for the checkpoints, made if need be; they are removed.");
ABSL_FLAG(int, mib, 256, "MiB of parameters and AdamW's two slots together.");
ABSL_FLAG(int, repetitions, 5, "Of each figure.");
ABSL_FLAG(int, piece_kib, tessera::kDefaultPieceElements * 4 / 1024,
          "KiB of values in a piece.");

namespace tessera {
namespace {

constexpr double kGiga = 1e9;
constexpr int kSections = 3;

// Seconds of each repetition, sorted.
absl::StatusOr<std::vector<double>> Times(
    const std::function<absl::Status(int)>& work) {
  std::vector<double> seconds;
  for (int i = 0; i < absl::GetFlag(FLAGS_repetitions); ++i) {
    const absl::Time start = absl::Now();
    TESSERA_RETURN_IF_ERROR(work(i));
    seconds.push_back(absl::ToDoubleSeconds(absl::Now() - start));
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds;
}

void Print(const char* what, int64_t bytes,
           const std::vector<double>& seconds) {
  const double median = seconds[seconds.size() / 2];
  std::printf(
      "%-28s %12lld bytes  median %7.3f s %6.2f GB/s  best %6.2f GB/s\n", what,
      static_cast<long long>(bytes), median,
      static_cast<double>(bytes) / median / kGiga,
      static_cast<double>(bytes) / seconds.front() / kGiga);
}

absl::Status TimeCrc(const char* what, size_t bytes, int64_t total) {
  const std::string data(bytes, 'x');
  uint32_t crc = 0;
  TESSERA_ASSIGN_OR_RETURN(const std::vector<double> seconds, Times([&](int) {
                             for (int64_t done = 0; done < total;
                                  done += static_cast<int64_t>(bytes)) {
                               crc = ExtendCrc32c(crc, data);
                             }
                             return absl::OkStatus();
                           }));
  Print(what, total, seconds);
  // Keeps the work from being left out.
  if (crc == 1) std::printf("(a CRC of 1)\n");
  return absl::OkStatus();
}

// Copies from memory, as a server's snapshot does.
class MemorySource : public CheckpointSource {
 public:
  explicit MemorySource(int64_t elements)
      : values_(static_cast<size_t>(elements * kSections)),
        elements_(elements) {
    std::iota(values_.begin(), values_.end(), 0.0f);
  }

  absl::Status Read(int section, const Interval& range,
                    absl::Span<float> out) override {
    const auto first = values_.begin() + section * elements_ + range.begin;
    std::copy(first, first + range.size(), out.begin());
    return absl::OkStatus();
  }

 private:
  std::vector<float> values_;
  const int64_t elements_;
};

class Benchmark {
 public:
  Benchmark()
      : root_(absl::GetFlag(FLAGS_dir)),
        elements_((int64_t{absl::GetFlag(FLAGS_mib)} << 20) / 4 / kSections),
        source_(elements_) {
    job_.mutable_optimizer()->mutable_adamw();
  }

  absl::Status Run() {
    TESSERA_RETURN_IF_ERROR(
        TimeCrc("CRC32C, 16 KiB at a time", 1 << 14, int64_t{1} << 30));
    TESSERA_RETURN_IF_ERROR(
        TimeCrc("CRC32C, 256 MiB at a time", 1 << 28, int64_t{1} << 30));
    TESSERA_RETURN_IF_ERROR(MakeFolders(storage_, root_));
    TESSERA_ASSIGN_OR_RETURN(const std::vector<double> written,
                             Times([this](int i) { return Write(i); }));
    TESSERA_ASSIGN_OR_RETURN(
        const CheckpointReader reader,
        CheckpointReader::Open(storage_, JoinPath(root_, Name(0))));
    Print("write, sync, acknowledge", reader.bytes(), written);
    TESSERA_ASSIGN_OR_RETURN(const std::vector<double> verified,
                             Times([&](int) { return reader.Verify(); }));
    Print("verify (from page cache)", reader.bytes(), verified);
    TESSERA_ASSIGN_OR_RETURN(const std::vector<double> read,
                             Times([&](int) { return Read(reader); }));
    Print("read back (from page cache)", reader.bytes(), read);
    return RemoveAll();
  }

 private:
  SetIdentity Identity(int repetition) const {
    return {.job_fingerprint = FingerprintOfSerialized(SerializeJob(job_)),
            .version = repetition,
            .set_id = CheckpointSetId(1)};
  }
  std::string Name(int repetition) const {
    return SetFolderName(repetition, CheckpointSetId(1));
  }

  absl::Status Write(int repetition) {
    const ShardHeader header = {
        .set = Identity(repetition),
        .elements = {0, elements_},
        .total_elements = elements_,
        .optimizer = OptimizerStateOf(job_),
        .piece_elements = absl::GetFlag(FLAGS_piece_kib) * 256};
    NoPacer pacer;
    v1::CheckpointManifest manifest;
    TESSERA_ASSIGN_OR_RETURN(
        *manifest.add_files(),
        WriteShardFile(storage_, root_, header, source_, pacer));
    SetIdentityOf(header.set, manifest);
    manifest.set_job(SerializeJob(job_));
    manifest.set_total_elements(elements_);
    return WriteManifest(storage_, root_, manifest);
  }

  absl::Status Read(const CheckpointReader& reader) {
    values_.resize(static_cast<size_t>(elements_));
    for (int section = 0; section < kSections; ++section) {
      TESSERA_RETURN_IF_ERROR(
          reader.Read(section, {0, elements_}, absl::MakeSpan(values_)));
    }
    return absl::OkStatus();
  }

  absl::Status RemoveAll() {
    for (int i = 0; i < absl::GetFlag(FLAGS_repetitions); ++i) {
      const std::string folder = JoinPath(root_, Name(i));
      TESSERA_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                               storage_.List(folder));
      for (const std::string& name : names) {
        TESSERA_RETURN_IF_ERROR(storage_.RemoveFile(JoinPath(folder, name)));
      }
      TESSERA_RETURN_IF_ERROR(storage_.RemoveFolder(folder));
    }
    return absl::OkStatus();
  }

  PosixStorage storage_;
  const std::string root_;
  const int64_t elements_;
  MemorySource source_;
  v1::Job job_;
  std::vector<float> values_;
};

}  // namespace
}  // namespace tessera

int main(int argc, char** argv) {
  tessera::ParseFlags(argc, argv, "Measures what a checkpoint costs.",
                      {__FILE__});
  const absl::Status status = tessera::Benchmark().Run();
  if (status.ok()) return tessera::kExitOk;
  std::fprintf(stderr, "checkpoint_benchmark: %s\n",
               std::string(status.message()).c_str());
  return tessera::kExitFailed;
}
