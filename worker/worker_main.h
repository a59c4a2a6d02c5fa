// What the worker's binary does; apart from its main function, so that a test's
// binary may do the same over a device of its own.

#ifndef TESSERA_WORKER_WORKER_MAIN_H_
#define TESSERA_WORKER_WORKER_MAIN_H_

#include "common/device/make_device.h"
#include "worker/model/network.h"

namespace tessera {

// What a worker is made of. Who takes the defaults links their libraries.
struct WorkerParts {
  decltype(&MakeDevice) make_device = MakeDevice;
  decltype(&Network::Create) make_network = Network::Create;
};

// Runs a worker as the flags say, until its job ends or it is told to stop.
// Returns the exit status. Once in a process, from main.
int WorkerMain(int argc, char** argv, const WorkerParts& parts);

}  // namespace tessera

#endif  // TESSERA_WORKER_WORKER_MAIN_H_
