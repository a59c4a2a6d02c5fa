// tessera_worker: computes gradients for a job until it ends. See --help.

#include "worker/worker_main.h"

int main(int argc, char** argv) { return tessera::WorkerMain(argc, argv, {}); }
