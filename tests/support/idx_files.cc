#include "tests/support/idx_files.h"

#include <cstdint>
#include <initializer_list>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/philox.h"

namespace tessera {
namespace {

// Magic number: two zero bytes, type 8 (unsigned byte), rank; then big-endian
// dimensions.
std::string Header(std::initializer_list<int> dimensions) {
  std::string header = {0, 0, 8, static_cast<char>(dimensions.size())};
  for (int dimension : dimensions) {
    for (int shift : {24, 16, 8, 0}) {
      header.push_back(static_cast<char>(dimension >> shift));
    }
  }
  return header;
}

void WriteSplit(const std::string& stem, int examples, uint32_t substream,
                const IdxDataSetShape& shape) {
  const Philox random(42, RandomStream::kGeneratedData, substream);
  std::string images = Header({examples, shape.height, shape.width});
  std::string labels = Header({examples});
  uint64_t draw = 0;
  for (int i = 0; i < examples; ++i) {
    const int label = i % shape.classes;
    labels.push_back(static_cast<char>(label));
    for (int pixel = 0; pixel < shape.height * shape.width; ++pixel) {
      const int row = pixel / shape.width;
      const bool bar = row * shape.classes / shape.height == label;
      const uint64_t noise = random.Below(draw++, 100);
      images.push_back(static_cast<char>(noise + (bar ? 60 : 0)));
    }
  }
  TESSERA_CHECK(WriteFileAtomically(stem + "-images-idx3-ubyte", images).ok());
  TESSERA_CHECK(WriteFileAtomically(stem + "-labels-idx1-ubyte", labels).ok());
}

}  // namespace

void WriteIdxDataSet(const std::string& folder, const IdxDataSetShape& shape) {
  WriteSplit(folder + "/train", shape.train_examples, 0, shape);
  WriteSplit(folder + "/t10k", shape.test_examples, 1, shape);
}

}  // namespace tessera
