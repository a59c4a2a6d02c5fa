#include "worker/data/idx_data_set.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "worker/data/idx_file.h"
#include "worker/data/idx_location.h"

namespace tessera {
namespace {

struct ImageShape {
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 0;

  int64_t size() const { return height * width * channels; }
  friend bool operator==(const ImageShape&, const ImageShape&) = default;
};

std::string ToString(const ImageShape& s) {
  return absl::StrCat(s.height, "x", s.width, "x", s.channels);
}

// One split's labels, and what its images' header says.
struct SplitHead {
  IdxPaths paths;
  ImageShape shape;
  int64_t examples = 0;
  std::vector<uint8_t> labels;
};

absl::StatusOr<ImageShape> ShapeOf(const std::string& path,
                                   const std::vector<int64_t>& dimensions) {
  if (dimensions.size() != 3 && dimensions.size() != 4) {
    return absl::InvalidArgumentError(
        absl::StrCat(path,
                     ": images have rank 3 (count, height, width) or 4 (count, "
                     "height, width, channels), not ",
                     dimensions.size()));
  }
  return ImageShape{.height = dimensions[1],
                    .width = dimensions[2],
                    .channels = dimensions.size() == 4 ? dimensions[3] : 1};
}

absl::StatusOr<SplitHead> ReadHead(const v1::IdxFiles& files, Split split,
                                   const std::string& data_dir) {
  SplitHead head;
  TESSERA_ASSIGN_OR_RETURN(head.paths, LocateIdxFiles(files, split, data_dir));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<int64_t> dimensions,
                           ReadIdxDimensions(head.paths.images));
  TESSERA_ASSIGN_OR_RETURN(head.shape, ShapeOf(head.paths.images, dimensions));
  TESSERA_ASSIGN_OR_RETURN(IdxArray labels, ReadIdxFile(head.paths.labels));
  if (labels.dimensions.size() != 1) {
    return absl::InvalidArgumentError(absl::StrCat(head.paths.labels,
                                                   ": labels have rank 1, not ",
                                                   labels.dimensions.size()));
  }
  head.examples = dimensions[0];
  if (labels.dimensions[0] != head.examples) {
    return absl::InvalidArgumentError(absl::StrCat(
        head.paths.labels, ": ", labels.dimensions[0], " labels for the ",
        head.examples, " images of ", head.paths.images));
  }
  head.labels = std::move(labels.values);
  return head;
}

// Both splits, in agreement with each other.
struct Heads {
  SplitHead train;
  SplitHead test;
  int classes = 0;
};

absl::StatusOr<Heads> ReadHeads(const v1::IdxFiles& files,
                                const std::string& data_dir) {
  Heads heads;
  TESSERA_ASSIGN_OR_RETURN(heads.train,
                           ReadHead(files, Split::kTrain, data_dir));
  TESSERA_ASSIGN_OR_RETURN(heads.test, ReadHead(files, Split::kTest, data_dir));
  if (heads.train.shape != heads.test.shape) {
    return absl::InvalidArgumentError(absl::StrCat(
        heads.test.paths.images, ": images are ", ToString(heads.test.shape),
        " where those of ", heads.train.paths.images, " are ",
        ToString(heads.train.shape)));
  }
  heads.classes = 1 + *std::max_element(heads.train.labels.begin(),
                                        heads.train.labels.end());
  const int highest =
      *std::max_element(heads.test.labels.begin(), heads.test.labels.end());
  if (highest >= heads.classes) {
    return absl::InvalidArgumentError(
        absl::StrCat(heads.test.paths.labels, ": holds label ", highest,
                     " where the training labels end at ", heads.classes - 1));
  }
  return heads;
}

DataSetFacts FactsOf(const Heads& heads) {
  DataSetFacts facts{.sample_shape = {},
                     .classes = heads.classes,
                     .train_examples = heads.train.examples,
                     .test_examples = heads.test.examples};
  const ImageShape& shape = heads.train.shape;
  facts.sample_shape.set_height(static_cast<int32_t>(shape.height));
  facts.sample_shape.set_width(static_cast<int32_t>(shape.width));
  facts.sample_shape.set_channels(static_cast<int32_t>(shape.channels));
  return facts;
}

// Facts go into int32 fields of the job.
absl::Status CheckRange(const SplitHead& head) {
  for (int64_t size :
       {head.shape.height, head.shape.width, head.shape.channels}) {
    if (size > 1 << 16) {
      return absl::InvalidArgumentError(
          absl::StrCat(head.paths.images, ": images of ", ToString(head.shape),
                       " are too large; a dimension may be up to 65536"));
    }
  }
  return absl::OkStatus();
}

struct LoadedSplit {
  std::vector<uint8_t> pixels;
  std::vector<uint8_t> labels;
};

absl::StatusOr<LoadedSplit> LoadPixels(SplitHead head) {
  TESSERA_ASSIGN_OR_RETURN(IdxArray images, ReadIdxFile(head.paths.images));
  if (std::ssize(images.values) != head.examples * head.shape.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(head.paths.images, ": changed while it was being read"));
  }
  return LoadedSplit{.pixels = std::move(images.values),
                     .labels = std::move(head.labels)};
}

class IdxDataSet : public DataSet {
 public:
  IdxDataSet(const v1::IdxFiles& files, ImageShape shape, LoadedSplit train,
             LoadedSplit test)
      : shape_(shape), train_(std::move(train)), test_(std::move(test)) {
    const double stddev = files.stddev() == 0 ? 1.0 : files.stddev();
    for (size_t i = 0; i < value_of_.size(); ++i) {
      value_of_[i] = static_cast<float>(
          (static_cast<double>(i) / 255.0 - files.mean()) / stddev);
    }
  }

  int64_t size(Split split) const override {
    return std::ssize(Of(split).labels);
  }

  void Gather(Split split, absl::Span<const int64_t> indices,
              const Batch& batch) const override {
    const auto sample_size = static_cast<size_t>(shape_.size());
    TESSERA_CHECK(batch.inputs.size() == indices.size() * sample_size);
    TESSERA_CHECK(batch.labels.size() == indices.size());
    const LoadedSplit& from = Of(split);
    for (size_t i = 0; i < indices.size(); ++i) {
      TESSERA_CHECK(indices[i] >= 0 && indices[i] < size(split));
      const auto index = static_cast<size_t>(indices[i]);
      batch.labels[i] = from.labels[index];
      Convert(&from.pixels[index * sample_size],
              &batch.inputs[i * sample_size]);
    }
  }

 private:
  const LoadedSplit& Of(Split split) const {
    return split == Split::kTrain ? train_ : test_;
  }

  // One sample, from channels last to channels first.
  void Convert(const uint8_t* from, float* to) const {
    const int64_t area = shape_.height * shape_.width;
    for (int64_t channel = 0; channel < shape_.channels; ++channel) {
      for (int64_t pixel = 0; pixel < area; ++pixel) {
        *to++ = value_of_[from[pixel * shape_.channels + channel]];
      }
    }
  }

  const ImageShape shape_;
  const LoadedSplit train_;
  const LoadedSplit test_;
  // What a byte becomes: (byte / 255 - mean) / stddev, rounded once.
  std::array<float, 256> value_of_;
};

}  // namespace

absl::StatusOr<DataSetFacts> ReadIdxFacts(const v1::IdxFiles& files,
                                          const std::string& data_dir) {
  TESSERA_ASSIGN_OR_RETURN(const Heads heads, ReadHeads(files, data_dir));
  TESSERA_RETURN_IF_ERROR(CheckRange(heads.train));
  return FactsOf(heads);
}

absl::StatusOr<std::unique_ptr<DataSet>> LoadIdxDataSet(
    const v1::DataSet& data_set, const std::string& data_dir) {
  TESSERA_ASSIGN_OR_RETURN(Heads heads, ReadHeads(data_set.idx(), data_dir));
  TESSERA_RETURN_IF_ERROR(CheckRange(heads.train));
  v1::Job resolved;
  *resolved.mutable_data_set() = data_set;
  const absl::Status same = ResolveDataSet(FactsOf(heads), resolved);
  if (!same.ok()) {
    return absl::FailedPreconditionError(absl::StrCat(
        heads.train.paths.images,
        " and its kin are not the data that the job was started with: ",
        same.message()));
  }
  const ImageShape shape = heads.train.shape;
  TESSERA_ASSIGN_OR_RETURN(LoadedSplit train,
                           LoadPixels(std::move(heads.train)));
  TESSERA_ASSIGN_OR_RETURN(LoadedSplit test, LoadPixels(std::move(heads.test)));
  return std::make_unique<IdxDataSet>(data_set.idx(), shape, std::move(train),
                                      std::move(test));
}

}  // namespace tessera
