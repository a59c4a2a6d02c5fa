// tessera_worker, linked with the stand-in for CUDA and cuBLAS: --device=cuda
// works.

#include "common/device/make_device.h"
#include "worker/model/network.h"
#include "worker/worker_main.h"

int main(int argc, char** argv) {
  return tessera::WorkerMain(argc, argv,
                             {.make_device = tessera::MakeDevice,
                              .make_network = tessera::Network::Create});
}
