// Early return on error, for functions that return absl::Status or
// absl::StatusOr.

#ifndef TESSERA_COMMON_BASE_STATUS_MACROS_H_
#define TESSERA_COMMON_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Evaluates `expr`, an absl::Status, and returns it unless it is OK.
#define TESSERA_RETURN_IF_ERROR(expr)                  \
  do {                                                 \
    absl::Status tessera_status_ = (expr);             \
    if (!tessera_status_.ok()) return tessera_status_; \
  } while (false)

// Evaluates `expr`, an absl::StatusOr<T>; returns its status unless it is OK,
// else moves its value into `lhs`, which may declare a variable.
#define TESSERA_ASSIGN_OR_RETURN(lhs, expr)                                    \
  TESSERA_ASSIGN_OR_RETURN_IMPL_(TESSERA_CONCAT_(tessera_statusor_, __LINE__), \
                                 lhs, expr)

#define TESSERA_ASSIGN_OR_RETURN_IMPL_(result, lhs, expr) \
  auto result = (expr);                                   \
  if (!result.ok()) return std::move(result).status();    \
  lhs = std::move(result).value()

#define TESSERA_CONCAT_(a, b) TESSERA_CONCAT_INNER_(a, b)
#define TESSERA_CONCAT_INNER_(a, b) a##b

#endif  // TESSERA_COMMON_BASE_STATUS_MACROS_H_
