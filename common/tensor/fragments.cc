#include "common/tensor/fragments.h"

#include "common/base/check.h"

namespace tessera {

FragmentedBytes FragmentedBytes::Subview(size_t begin, size_t length) const {
  TESSERA_CHECK(begin <= size_ && length <= size_ - begin);
  FragmentedBytes view;
  for (Piece piece : pieces_) {
    if (begin >= piece.size()) {
      begin -= piece.size();
      continue;
    }
    piece.remove_prefix(begin);
    begin = 0;
    if (piece.size() > length) piece = piece.first(length);
    view.Append(piece);
    length -= piece.size();
  }
  return view;
}

void FragmentedBytes::CopyTo(void* to) const {
  auto* out = static_cast<uint8_t*>(to);
  for (Piece piece : pieces_) {
    std::memcpy(out, piece.data(), piece.size());
    out += piece.size();
  }
}

}  // namespace tessera
