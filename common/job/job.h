// A job, read, checked and worked out: everything that follows from the job
// file alone. Pure functions, so thread-safe.

#ifndef TESSERA_COMMON_JOB_JOB_H_
#define TESSERA_COMMON_JOB_JOB_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/job/model_plan.h"
#include "common/plan/reduction_tree.h"
#include "common/tensor/layout.h"
#include "tessera/v1/job.pb.h"

namespace tessera {

// What a data set turned out to hold.
struct DataSetFacts {
  v1::SampleShape sample_shape;
  int classes = 0;  // 0 for regression.
  int64_t train_examples = 0;
  int64_t test_examples = 0;
};

// A checked and resolved job with what follows from it. Immutable after
// creation; share it by const reference or copy it.
class Job {
 public:
  // Checks every field. Codes: INVALID_ARGUMENT; the message gives the field,
  // its value and what would be right. FAILED_PRECONDITION when the data set's
  // shape or sizes are still unknown: call ResolveDataSet first.
  static absl::StatusOr<Job> Create(v1::Job proto);

  // The job as resolved, with defaults filled in.
  const v1::Job& proto() const { return proto_; }
  // Names the job on the wire: see identity.h.
  uint64_t fingerprint() const { return fingerprint_; }
  const ModelPlan& model() const { return model_; }
  const Layout& layout() const { return model_.layout; }
  const ReductionTree& tree() const { return tree_; }

  int batch_size() const { return proto_.batch_size(); }
  int microbatches() const { return proto_.microbatches(); }
  int microbatch_size() const { return batch_size() / microbatches(); }
  int64_t block_bytes() const { return proto_.block_bytes(); }

  // How gradients and parameters travel; always an encoding that is known.
  v1::Encoding push_encoding() const { return proto_.wire().push(); }
  v1::Encoding pull_encoding() const { return proto_.wire().pull(); }
  // Whether each microbatch's gradient must be pushed by itself, as a range of
  // one. Where pushes round, a sum over a range would be rounded as a whole, so
  // results would depend on who computed what; microbatches are the same
  // however work is shared.
  bool pushes_single_microbatches() const {
    return push_encoding() != v1::ENCODING_FLOAT32;
  }

  // Whole batches in the training set; the rest of an epoch is left out.
  int64_t steps_per_epoch() const;
  // Steps after which the job ends at the latest.
  int64_t max_steps() const;
  // Versions v > 0 with v % evaluation_interval() == 0 are evaluated.
  int64_t evaluation_interval() const;
  // Pieces that one evaluation is leased in, and the samples of one.
  int evaluation_chunks() const;
  int chunk_examples() const { return proto_.evaluation().chunk_examples(); }

  // With defaults filled in.
  const v1::CheckpointPolicy& checkpoint_policy() const {
    return proto_.operation().checkpoint();
  }
  const v1::WaitPolicy& wait_policy() const {
    return proto_.operation().wait();
  }

 private:
  Job(v1::Job proto, ModelPlan model, uint64_t fingerprint);

  v1::Job proto_;
  ModelPlan model_;
  uint64_t fingerprint_;
  ReductionTree tree_;
};

// Parses a textproto. Codes: INVALID_ARGUMENT for unknown fields and syntax
// errors, with line and column, and for text that is not UTF-8. Checks no other
// values.
absl::StatusOr<v1::Job> ParseJobText(absl::string_view text);

// Reads and parses a job file. Codes: as ReadFile and ParseJobText; the message
// names the file.
absl::StatusOr<v1::Job> LoadJobFile(const std::string& path);

// Fills in what the data set says where the job leaves it open. Codes:
// INVALID_ARGUMENT where the job says something else than the data.
absl::Status ResolveDataSet(const DataSetFacts& facts, v1::Job& job);

// For data that the job itself describes (generated_linear), its facts; nothing
// has to be read. Codes: FAILED_PRECONDITION for data in files.
absl::StatusOr<DataSetFacts> FactsOfGeneratedData(const v1::Job& job);

// The textproto that ParseJobText reads back.
std::string FormatJobText(const v1::Job& job);

}  // namespace tessera

#endif  // TESSERA_COMMON_JOB_JOB_H_
