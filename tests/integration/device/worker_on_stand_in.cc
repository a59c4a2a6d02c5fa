// tessera_worker, linked with the stand-in for CUDA and cuBLAS: --device=cuda
// works.

#include "worker/worker_main.h"

int main(int argc, char** argv) { return tessera::WorkerMain(argc, argv, {}); }
