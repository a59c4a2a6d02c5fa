// What the server's binary does; apart from its main function, so that a test's
// binary may do the same with storage that fails or watches.

#ifndef TESSERA_SERVER_SERVER_MAIN_H_
#define TESSERA_SERVER_SERVER_MAIN_H_

#include "common/storage/storage.h"

namespace tessera {

// Runs a server as the flags say, its checkpoints in `storage`, until it is
// told to stop. Returns the exit status. Once in a process, from main.
int ServerMain(int argc, char** argv, Storage& storage);

}  // namespace tessera

#endif  // TESSERA_SERVER_SERVER_MAIN_H_
