// Numbers that whoever starts a test may choose.

#ifndef TESSERA_TESTS_SUPPORT_ENVIRONMENT_H_
#define TESSERA_TESTS_SUPPORT_ENVIRONMENT_H_

#include <cstdint>
#include <cstdlib>

#include "absl/strings/numbers.h"

namespace tessera {

// The environment variable's number; `otherwise` where it is not set, or none.
inline uint64_t NumberFromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  uint64_t number;
  return text != nullptr && absl::SimpleAtoi(text, &number) ? number
                                                            : otherwise;
}

}  // namespace tessera

#endif  // TESSERA_TESTS_SUPPORT_ENVIRONMENT_H_
