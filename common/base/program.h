// What every main function does first.

#ifndef TESSERA_COMMON_BASE_PROGRAM_H_
#define TESSERA_COMMON_BASE_PROGRAM_H_

#include <initializer_list>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace tessera {

// Parses flags. `usage` is what --help prints above the flags, of which it
// lists those defined in the source files that `files` (say, __FILE__) name.
// Ends the process: after --help, and with status 2 for an unknown flag and for
// any argument that is no flag (1 for a value that a flag cannot take).
void ParseFlags(int argc, char** argv, absl::string_view usage,
                std::initializer_list<absl::string_view> files);

// The same for a program that takes arguments beside flags; returns those.
std::vector<std::string> ParseFlagsAndArguments(
    int argc, char** argv, absl::string_view usage,
    std::initializer_list<absl::string_view> files);

// Where this program lies, links resolved.
std::string OwnPath();

// Where another of an installation lies, say "server/tessera_server": in a
// folder beside this program's. Whether it is there is not looked at.
std::string InstalledProgram(absl::string_view name);

}  // namespace tessera

#endif  // TESSERA_COMMON_BASE_PROGRAM_H_
