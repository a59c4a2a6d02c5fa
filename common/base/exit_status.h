// How our programs end, for who starts them.

#ifndef TESSERA_COMMON_BASE_EXIT_STATUS_H_
#define TESSERA_COMMON_BASE_EXIT_STATUS_H_

namespace tessera {

inline constexpr int kExitOk = 0;
// Something failed that may work another time.
inline constexpr int kExitFailed = 1;
// Bad flags, job or data: trying again would not help.
inline constexpr int kExitUsage = 2;
// The job waited longer than it allows, and was stopped.
inline constexpr int kExitWaitedTooLong = 3;

}  // namespace tessera

#endif  // TESSERA_COMMON_BASE_EXIT_STATUS_H_
