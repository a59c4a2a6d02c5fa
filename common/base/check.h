// Assertions about our own code. Input from outside is never checked with
// these: it gets an absl::Status.

#ifndef TESSERA_COMMON_BASE_CHECK_H_
#define TESSERA_COMMON_BASE_CHECK_H_

namespace tessera::internal {

// Prints file, line and condition to stderr and aborts.
[[noreturn]] void CheckFailed(const char* file, int line,
                              const char* condition);

}  // namespace tessera::internal

// Aborts the process unless `condition` holds, in every build.
#define TESSERA_CHECK(condition)                                        \
  do {                                                                  \
    if (!(condition)) {                                                 \
      ::tessera::internal::CheckFailed(__FILE__, __LINE__, #condition); \
    }                                                                   \
  } while (false)

#endif  // TESSERA_COMMON_BASE_CHECK_H_
