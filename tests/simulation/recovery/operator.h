// Somebody who asks for checkpoints now and then, as `tessera_ctl checkpoint`
// does.

#ifndef TESSERA_TESTS_SIMULATION_RECOVERY_OPERATOR_H_
#define TESSERA_TESTS_SIMULATION_RECOVERY_OPERATOR_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/simulation/recovery/cluster.h"
#include "tests/simulation/recovery/server_process.h"

namespace tessera {

// Not thread-safe.
class Operator {
 public:
  // `cluster` must outlive it.
  explicit Operator(Cluster& cluster) : cluster_(cluster) {}

  void Begin();

  // That everything asked of the coordinator which is there now has an answer.
  void CheckAnswers();

  // What was said to have been done, by what was said.
  const std::map<std::string, int64_t>& answers() const { return answers_; }

 private:
  using Server = std::shared_ptr<ServerProcess>;

  void Soon();
  void Ask();
  void Look(const Server& server, uint64_t set_id);
  void TakeOutcome(const CheckpointOutcome& outcome);

  Cluster& cluster_;
  std::vector<std::pair<Server, uint64_t>> asked_;
  std::map<std::string, int64_t> answers_;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_SIMULATION_RECOVERY_OPERATOR_H_
