// tessera_server, linked with the stand-in for CUDA: --device=cuda works.

#include "common/storage/posix_storage.h"
#include "server/server_main.h"

int main(int argc, char** argv) {
  tessera::PosixStorage storage;
  return tessera::ServerMain(argc, argv, storage, {});
}
