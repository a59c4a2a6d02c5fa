// The sequence of phases that a job goes through:
//
//    train(0) train(1) ... [evaluate(v)] train(v) ... evaluate(last)
//
// Version v is evaluated when v > 0 is a multiple of the job's evaluation
// interval, and always when it is the last. Pure functions of the job.

#ifndef TESSERA_SERVER_COORDINATOR_PHASE_H_
#define TESSERA_SERVER_COORDINATOR_PHASE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "common/job/job.h"
#include "server/coordinator/unit_ledger.h"

namespace tessera {

enum class PhaseKind { kTrain, kEvaluate };

// Names a phase: training step `version`, which starts from that version, or
// the evaluation of it.
struct PhaseKey {
  PhaseKind kind = PhaseKind::kTrain;
  int64_t version = 0;

  bool is_train() const { return kind == PhaseKind::kTrain; }
  friend bool operator==(const PhaseKey&, const PhaseKey&) = default;
};

// "step 12 [0, 4)" or "evaluation of version 20, chunks [0, 3)".
std::string ToString(const PhaseKey& key, const UnitRange& range);

// Whether `version` is evaluated in a job whose last version is `last_version`.
bool IsEvaluated(const Job& job, int64_t version, int64_t last_version);

// What follows `key`, at or below `last_version`, if nothing ends the job
// early. Nothing after the evaluation of the last version.
std::optional<PhaseKey> PhaseAfter(const Job& job, const PhaseKey& key,
                                   int64_t last_version);

// Units that the phase is cut into: microbatches, or evaluation chunks.
int PhaseSize(const Job& job, const PhaseKey& key);

}  // namespace tessera

#endif  // TESSERA_SERVER_COORDINATOR_PHASE_H_
