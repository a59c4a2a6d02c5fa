// What every main function does first.

#ifndef TESSERA_COMMON_BASE_PROGRAM_H_
#define TESSERA_COMMON_BASE_PROGRAM_H_

#include "absl/strings/string_view.h"

namespace tessera {

// Parses flags. `usage` is what --help prints above the flags, of which it
// lists those defined in the source file that `file` (say, __FILE__) names.
// Ends the process: with status 0 after --help, 1 for an unknown flag, and 2
// for any argument that is no flag.
void ParseFlags(int argc, char** argv, absl::string_view usage,
                absl::string_view file);

}  // namespace tessera

#endif  // TESSERA_COMMON_BASE_PROGRAM_H_
