// Small image data sets in MNIST's format, made for a test.

#ifndef TESSERA_TESTS_SUPPORT_IDX_FILES_H_
#define TESSERA_TESTS_SUPPORT_IDX_FILES_H_

#include <string>

namespace tessera {

struct IdxDataSetShape {
  int train_examples = 256;
  int test_examples = 64;
  int height = 12;
  int width = 12;
  int classes = 4;
};

// Writes the four files, under MNIST's names, to `folder`. Every class is a
// bright bar at its own place over noise, so it can be learned.
void WriteIdxDataSet(const std::string& folder, const IdxDataSetShape& shape);

}  // namespace tessera

#endif  // TESSERA_TESTS_SUPPORT_IDX_FILES_H_
