// How values are laid out on the wire (proto/tessera/v1/encoding.proto).

#ifndef TESSERA_COMMON_WIRE_ENCODING_H_
#define TESSERA_COMMON_WIRE_ENCODING_H_

#include <cstddef>

#include "common/tensor/bfloat16.h"
#include "tessera/v1/encoding.pb.h"

namespace tessera {

// Bytes of one value; 0 for an encoding that nobody here knows.
constexpr size_t BytesPerValue(v1::Encoding encoding) {
  switch (encoding) {
    case v1::ENCODING_FLOAT32:
      return sizeof(float);
    case v1::ENCODING_BFLOAT16:
      return kBfloat16Bytes;
    default:
      return 0;
  }
}

}  // namespace tessera

#endif  // TESSERA_COMMON_WIRE_ENCODING_H_
