// A file descriptor with an owner.

#ifndef TESSERA_COMMON_SHM_UNIQUE_FD_H_
#define TESSERA_COMMON_SHM_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

namespace tessera {

// Closes the descriptor at the end. Move-only; as thread-safe as an int.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  ~UniqueFd() {
    if (fd_ >= 0) close(fd_);
  }
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }

  explicit operator bool() const { return fd_ >= 0; }
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

}  // namespace tessera

#endif  // TESSERA_COMMON_SHM_UNIQUE_FD_H_
