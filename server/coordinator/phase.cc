#include "server/coordinator/phase.h"

#include "absl/strings/str_cat.h"
#include "common/base/check.h"

namespace tessera {

std::string ToString(const PhaseKey& key, const UnitRange& range) {
  const std::string units =
      absl::StrCat("[", range.begin, ", ", range.end, ")");
  return key.is_train() ? absl::StrCat("step ", key.version, " ", units)
                        : absl::StrCat("evaluation of version ", key.version,
                                       ", chunks ", units);
}

bool IsEvaluated(const Job& job, int64_t version, int64_t last_version) {
  if (version == last_version) return true;
  return version > 0 && version < last_version &&
         version % job.evaluation_interval() == 0;
}

std::optional<PhaseKey> PhaseAfter(const Job& job, const PhaseKey& key,
                                   int64_t last_version) {
  if (key.is_train()) {
    const int64_t reached = key.version + 1;
    TESSERA_CHECK(reached <= last_version);
    return PhaseKey{IsEvaluated(job, reached, last_version)
                        ? PhaseKind::kEvaluate
                        : PhaseKind::kTrain,
                    reached};
  }
  if (key.version == last_version) return std::nullopt;
  return PhaseKey{PhaseKind::kTrain, key.version};
}

int PhaseSize(const Job& job, const PhaseKey& key) {
  return key.is_train() ? job.microbatches() : job.evaluation_chunks();
}

}  // namespace tessera
