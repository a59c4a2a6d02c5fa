// What happened in a simulated run: a hash always, lines of text on request.

#ifndef TESSERA_TESTS_SIMULATION_TRACE_H_
#define TESSERA_TESTS_SIMULATION_TRACE_H_

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "tests/simulation/random.h"

namespace tessera {

// Not thread-safe.
class Trace {
 public:
  // `name` gives who `who` is, for the text; by default a worker's number.
  using Name = std::string (*)(int who);
  explicit Trace(bool keep_text, Name name = nullptr)
      : keep_text_(keep_text), name_(name) {}

  // Who is -1 where it is nobody; the numbers mean what `what` says.
  template <typename... Numbers>
  void Add(int64_t time_us, int who, absl::string_view what,
           Numbers... numbers) {
    Take(static_cast<uint64_t>(time_us));
    Take(static_cast<uint64_t>(who));
    for (char c : what) Take(static_cast<uint64_t>(c));
    (Take(static_cast<uint64_t>(numbers)), ...);
    if (!keep_text_) return;
    absl::StrAppendFormat(&text_, "%12.6f  ",
                          static_cast<double>(time_us) * 1e-6);
    absl::StrAppend(&text_, NameOf(who), "  ", what);
    (absl::StrAppend(&text_, " ", numbers), ...);
    absl::StrAppend(&text_, "\n");
  }

  uint64_t hash() const { return hash_; }
  const std::string& text() const { return text_; }

 private:
  std::string NameOf(int who) const {
    if (who < 0) return "-";
    return name_ != nullptr ? name_(who) : absl::StrCat("worker ", who);
  }
  void Take(uint64_t number) { hash_ = Mix(hash_ ^ number) + hash_; }

  const bool keep_text_;
  const Name name_;
  uint64_t hash_ = 1;
  std::string text_;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_SIMULATION_TRACE_H_
