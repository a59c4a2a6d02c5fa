// Payloads as they arrive: bytes in several pieces of memory.

#ifndef TESSERA_COMMON_TENSOR_FRAGMENTS_H_
#define TESSERA_COMMON_TENSOR_FRAGMENTS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"

namespace tessera {

// A view of bytes that lie in several pieces, in order. Owns none of them: who
// made it keeps the memory alive. Copies are cheap. Thread-compatible.
class FragmentedBytes {
 public:
  using Piece = absl::Span<const uint8_t>;

  FragmentedBytes() = default;
  explicit FragmentedBytes(Piece piece) { Append(piece); }

  // Views the values of a contiguous float vector.
  static FragmentedBytes OfFloats(absl::Span<const float> values) {
    return FragmentedBytes(
        Piece(reinterpret_cast<const uint8_t*>(values.data()),
              values.size() * sizeof(float)));
  }

  // Adds a piece at the end; an empty one adds nothing.
  void Append(Piece piece) {
    if (piece.empty()) return;
    pieces_.push_back(piece);
    size_ += piece.size();
  }

  size_t size() const { return size_; }
  absl::Span<const Piece> pieces() const { return pieces_; }

  // The view of [begin, begin + length), which must lie inside.
  FragmentedBytes Subview(size_t begin, size_t length) const;

  // Copies everything to `to`, which has room for size() bytes.
  void CopyTo(void* to) const;

 private:
  absl::InlinedVector<Piece, 4> pieces_;
  size_t size_ = 0;
};

// Walks the values of `bytes`, of kValueBytes each, of which its size must be a
// multiple, wherever the pieces are cut. Calls
//   visit(const uint8_t* unaligned, size_t first, size_t count)
// for runs of `count` values that lie together in memory, the first of them
// being value number `first`. A value that straddles pieces comes alone, put
// together in a buffer. The pointer has no alignment: load with memcpy.
template <size_t kValueBytes, typename Visit>
void ForEachRun(const FragmentedBytes& bytes, Visit&& visit) {
  uint8_t straddling[kValueBytes];
  size_t held = 0;  // Bytes of `straddling` that are filled.
  size_t next = 0;  // Number of the next value.
  for (FragmentedBytes::Piece piece : bytes.pieces()) {
    if (held > 0) {
      const size_t take = std::min(piece.size(), kValueBytes - held);
      std::memcpy(straddling + held, piece.data(), take);
      held += take;
      piece.remove_prefix(take);
      if (held < kValueBytes) continue;
      visit(static_cast<const uint8_t*>(straddling), next, size_t{1});
      ++next;
      held = 0;
    }
    const size_t count = piece.size() / kValueBytes;
    if (count > 0) visit(piece.data(), next, count);
    next += count;
    piece.remove_prefix(count * kValueBytes);
    std::memcpy(straddling, piece.data(), piece.size());
    held = piece.size();
  }
}

// Of float32 values.
template <typename Visit>
void ForEachFloatRun(const FragmentedBytes& bytes, Visit&& visit) {
  ForEachRun<sizeof(float)>(bytes, std::forward<Visit>(visit));
}

}  // namespace tessera

#endif  // TESSERA_COMMON_TENSOR_FRAGMENTS_H_
