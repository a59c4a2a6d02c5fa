// The command-line flags that say who may talk to a program: --tls_ca,
// --tls_cert, --tls_key and --insecure_network. For main functions.

#ifndef TESSERA_COMMON_RPC_SECURITY_FLAGS_H_
#define TESSERA_COMMON_RPC_SECURITY_FLAGS_H_

#include "common/rpc/credentials.h"

namespace tessera {

// The file that defines the flags, for ParseFlags.
extern const char kSecurityFlagsFile[];

// What the flags say, after ParseFlags.
ChannelSecurity SecurityFromFlags();

}  // namespace tessera

#endif  // TESSERA_COMMON_RPC_SECURITY_FLAGS_H_
