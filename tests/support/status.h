// Catch2's view of absl::Status, and assertions about it.

#ifndef TESSERA_TESTS_SUPPORT_STATUS_H_
#define TESSERA_TESTS_SUPPORT_STATUS_H_

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace tessera {

inline const absl::Status& StatusOf(const absl::Status& status) {
  return status;
}
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

// Matches an error with this code whose message contains all of `words`.
class IsError : public Catch::MatcherBase<absl::Status> {
 public:
  template <typename... Words>
  explicit IsError(absl::StatusCode code, const Words&... words)
      : code_(code), words_{std::string(words)...} {}

  bool match(const absl::Status& status) const override {
    if (status.code() != code_) return false;
    for (const std::string& word : words_) {
      if (status.message().find(word) == absl::string_view::npos) return false;
    }
    return true;
  }

  std::string describe() const override {
    std::string text =
        absl::StrCat("is ", absl::StatusCodeToString(code_), " and says");
    for (const std::string& word : words_) {
      absl::StrAppend(&text, " \"", word, "\"");
    }
    return text;
  }

 private:
  absl::StatusCode code_;
  std::vector<std::string> words_;
};

}  // namespace tessera

namespace Catch {
template <>
struct StringMaker<absl::Status> {
  static std::string convert(const absl::Status& status) {
    return status.ToString();
  }
};
}  // namespace Catch

// The expression, a Status or StatusOr, must be OK.
#define REQUIRE_OK(expression)                             \
  do {                                                     \
    const auto& tessera_result_ = (expression);            \
    INFO(::tessera::StatusOf(tessera_result_).ToString()); \
    REQUIRE(::tessera::StatusOf(tessera_result_).ok());    \
  } while (false)

// The expression must be an error with this code, saying each of the words.
#define REQUIRE_ERROR(expression, code, ...)    \
  REQUIRE_THAT(::tessera::StatusOf(expression), \
               ::tessera::IsError(code __VA_OPT__(, ) __VA_ARGS__))

#endif  // TESSERA_TESTS_SUPPORT_STATUS_H_
