// What this process holds open, to show that nothing is left behind.

#ifndef TESSERA_TESTS_UNIT_SHM_OPEN_DESCRIPTORS_H_
#define TESSERA_TESTS_UNIT_SHM_OPEN_DESCRIPTORS_H_

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace tessera {

// The one that this function uses itself is counted, too.
inline int OpenDescriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<int>(std::distance(begin(all), end(all)));
}

// Mappings of regions, ours and others'.
inline int MappedRegions() {
  std::ifstream maps("/proc/self/maps");
  int count = 0;
  for (std::string line; std::getline(maps, line);) {
    if (line.find("memfd:tessera") != std::string::npos) ++count;
  }
  return count;
}

}  // namespace tessera

#endif  // TESSERA_TESTS_UNIT_SHM_OPEN_DESCRIPTORS_H_
