// What the worker's binary does; apart from its main function, so that a test's
// binary may do the same over a device of its own.

#ifndef TESSERA_WORKER_WORKER_MAIN_H_
#define TESSERA_WORKER_WORKER_MAIN_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/device/device.h"
#include "worker/model/network.h"

namespace tessera {

// What a worker computes on and with.
struct WorkerParts {
  // As MakeDevice of common/device/make_device.h.
  absl::StatusOr<std::unique_ptr<Device>> (*make_device)(
      absl::string_view name);
  MakeNetwork make_network;
};

// Runs a worker as the flags say, until its job ends or it is told to stop.
// Returns the exit status. Once in a process, from main.
int WorkerMain(int argc, char** argv, const WorkerParts& parts);

}  // namespace tessera

#endif  // TESSERA_WORKER_WORKER_MAIN_H_
