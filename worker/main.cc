// tessera_worker: computes gradients for a job until it ends. See --help.

#include "common/device/make_device.h"
#include "worker/model/network.h"
#include "worker/worker_main.h"

int main(int argc, char** argv) {
  return tessera::WorkerMain(argc, argv,
                             {.make_device = tessera::MakeDevice,
                              .make_network = tessera::Network::Create});
}
