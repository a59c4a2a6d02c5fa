#include "common/shm/shm_offer.h"

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/support/status.h"

namespace tessera {
namespace {

ShmOffer SomeOffer() {
  ShmOffer offer;
  for (size_t i = 0; i < 16; ++i) {
    offer.socket[i] = static_cast<uint8_t>(i);
    offer.token[i] = static_cast<uint8_t>(0xff - i);
  }
  return offer;
}

TEST_CASE("an offer survives being text") {
  const std::string text = ToString(SomeOffer());
  REQUIRE(text ==
          "1.000102030405060708090a0b0c0d0e0f"
          ".fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0");
  const auto offer = ParseShmOffer(text);
  REQUIRE_OK(offer);
  REQUIRE(*offer == SomeOffer());
}

TEST_CASE("other text is no offer, and is not repeated") {
  const std::string good = ToString(SomeOffer());
  std::vector<std::string> bad = {
      "", "1", "1.", good + "0", " " + good, good.substr(0, good.size() - 1)};
  // Any one character wrong, also one that is fit for another place.
  for (size_t i = 0; i < good.size(); ++i) {
    for (const char c : {'g', 'A', '.', '2', '\0', '\xff', '-'}) {
      std::string text = good;
      const bool digit = c == '2' && i != 0 && good[i] != '.';
      if (text[i] == c || digit) continue;
      text[i] = c;
      bad.push_back(text);
    }
  }
  for (const std::string& text : bad) {
    CAPTURE(text);
    const auto offer = ParseShmOffer(text);
    REQUIRE_ERROR(offer, absl::StatusCode::kInvalidArgument,
                  std::to_string(text.size()), "hexadecimal");
    REQUIRE(offer.status().message().find("0405") == std::string::npos);
  }
}

TEST_CASE("a host's text stays the same, also in another process") {
  const std::string id = ShmHostId();
  REQUIRE(id.size() == 64);
  REQUIRE(ShmHostId() == id);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) _exit(ShmHostId() == id ? 0 : 1);
  int status;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  REQUIRE(WEXITSTATUS(status) == 0);
}

TEST_CASE("another user has another text") {
  if (geteuid() != 0) {
    WARN("only root can be somebody else: not tested");
    return;
  }
  const std::string id = ShmHostId();
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (seteuid(65534) != 0) _exit(2);
    const std::string other = ShmHostId();
    _exit(other != id ? 0 : 1);
  }
  int status;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  REQUIRE(WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace tessera
