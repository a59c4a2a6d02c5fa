// A worker's life: join, ask for work, do it, until the job ends.
//
//   coordinator: GetWork ---------------------------------------> GetWork ...
//                   | train(t, range)
//   this thread:    forward  backward (per microbatch)
//                   ^ waits for blocks at t   | blocks of the summed gradient,
//                   |                         v last layer first
//   client:         Pull / answers ....... PushPull -> version t + 1
//   lease keeper:   Renew ... Renew ... (may call the worker back)
//
// The next step's forward pass starts when its first layer's blocks are back,
// while later ones are still under way.

#ifndef TESSERA_WORKER_TRAIN_TRAINER_H_
#define TESSERA_WORKER_TRAIN_TRAINER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "common/device/device.h"
#include "common/rpc/credentials.h"
#include "common/shm/shm_use.h"
#include "common/trace/trace.h"
#include "worker/client/coordinator_client.h"
#include "worker/model/network.h"

namespace tessera {

struct Workshop;

struct TrainerOptions {
  // In shard order; the first is the coordinator's too.
  std::vector<std::string> servers;
  // For people, in status and logs.
  std::string label;
  // Replaces the directory that the job names; may be empty.
  std::string data_dir;
  absl::Duration unreachable_after = absl::Minutes(10);
  // See ParameterClientOptions.
  std::function<void(const std::string&)> on_outage;
  ChannelSecurity security;
  // With servers on the same machine.
  ShmUse shared_memory = ShmUse::kAuto;
  // Makes the model. Who takes the default links its library.
  decltype(&Network::Create) make_network = Network::Create;
  // What computes, and whether with TensorFloat-32: see NetworkOptions. The
  // device must outlive the trainer.
  Device* device = nullptr;
  bool tf32 = false;
  // Records what the worker does, unless it is null; must outlive the trainer.
  Tracer* tracer = nullptr;
};

// Works until the job ends. Run once.
class Trainer {
 public:
  // `coordinator` is shard 0's client; it must outlive the trainer.
  Trainer(TrainerOptions options, CoordinatorClient& coordinator);
  ~Trainer();

  // Codes: OK when the job ended; CANCELLED after Stop; otherwise what went
  // wrong, in words for whoever runs the worker.
  absl::Status Run();

  // Ends Run soon, whatever it waits for, giving back what the worker holds: at
  // the end of the layer that it computes; two seconds later at the most if the
  // coordinator cannot be reached; and see ParameterClient::CancelAll.
  // Thread-safe.
  void Stop();

 private:
  absl::Status Work(const v1::JoinResponse& joined);
  void Leave(uint64_t worker_id) const;

  const TrainerOptions options_;
  CoordinatorClient& coordinator_;

  Mutex mutex_;
  // Set once, by Run's thread; kept over memberships.
  std::unique_ptr<Workshop> workshop_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tessera

#endif  // TESSERA_WORKER_TRAIN_TRAINER_H_
