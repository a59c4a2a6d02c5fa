// What the server's binary does; apart from its main function, so that a test's
// binary may do the same with storage that fails or watches, or on a device of
// its own.

#ifndef TESSERA_SERVER_SERVER_MAIN_H_
#define TESSERA_SERVER_SERVER_MAIN_H_

#include "common/storage/storage.h"
#include "server/service/server.h"

namespace tessera {

// Runs a server as the flags say, its checkpoints in `storage`, until it is
// told to stop. Returns the exit status. Once in a process, from main.
int ServerMain(int argc, char** argv, Storage& storage,
               const ServerParts& parts);

}  // namespace tessera

#endif  // TESSERA_SERVER_SERVER_MAIN_H_
