// tessera_server: holds one shard of a job's parameters. See --help.

#include "common/storage/posix_storage.h"
#include "server/server_main.h"

int main(int argc, char** argv) {
  tessera::PosixStorage storage;
  return tessera::ServerMain(argc, argv, storage, {});
}
