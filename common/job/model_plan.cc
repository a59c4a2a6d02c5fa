#include "common/job/model_plan.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace tessera {
namespace {

constexpr int kMaxDimension = 1 << 24;
// Of a convolution or a pool. Images are no larger.
constexpr int kMaxWindow = 1 << 16;
// In one sample; what an int counts.
constexpr int64_t kMaxActivation = (int64_t{1} << 31) - 1;

// Neither height nor width is above 2^31 + 2^17.
bool IsTooLarge(int64_t channels, int64_t height, int64_t width) {
  return height * width > kMaxActivation / channels;
}

std::string ToString(const ActivationShape& s) {
  return absl::StrCat(s.height, "x", s.width, "x", s.channels);
}

// Carries the walk over the layers.
class Planner {
 public:
  explicit Planner(const v1::Job& job) : job_(job) {
    const v1::SampleShape& sample = job.data_set().sample_shape();
    shape_ = {sample.channels(), sample.height(), sample.width()};
  }

  absl::StatusOr<ModelPlan> Plan() {
    const v1::Model& model = job_.model();
    if (model.layers().empty()) {
      return absl::InvalidArgumentError(
          "model.layers is empty: give at least one layer with parameters");
    }
    if (IsTooLarge(shape_.channels, shape_.height, shape_.width)) {
      return absl::InvalidArgumentError(
          absl::StrCat("data_set.sample_shape: ", ToString(shape_),
                       " is more than 2^31 - 1 values"));
    }
    for (int i = 0; i < model.layers_size(); ++i) {
      TESSERA_RETURN_IF_ERROR(AddLayer(i));
    }
    TESSERA_RETURN_IF_ERROR(CheckLoss());
    absl::StatusOr<Layout> layout = Layout::Create(std::move(tensors_));
    if (!layout.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("model: ", layout.status().message()));
    }
    return ModelPlan{.layers = std::move(layers_),
                     .loss = model.loss(),
                     .outputs = static_cast<int>(shape_.size()),
                     .layout = *std::move(layout)};
  }

 private:
  absl::Status Error(absl::string_view field, absl::string_view what) const {
    return absl::InvalidArgumentError(
        absl::StrCat("model.layers[", layers_.size(), "] (", current_.name, ")",
                     field.empty() ? "" : ".", field, ": ", what));
  }

  absl::Status AddLayer(int index) {
    const v1::Layer& layer = job_.model().layers(index);
    current_ = LayerPlan{.name = NameOf(layer),
                         .layer = layer,
                         .input = shape_,
                         .output = shape_};
    switch (layer.kind_case()) {
      case v1::Layer::kDense:
        TESSERA_RETURN_IF_ERROR(PlanDense(index));
        break;
      case v1::Layer::kConv2D:
        TESSERA_RETURN_IF_ERROR(PlanConv2d(index));
        break;
      case v1::Layer::kMaxPool:
        TESSERA_RETURN_IF_ERROR(PlanMaxPool());
        break;
      case v1::Layer::kFlatten:
        current_.output = {static_cast<int>(shape_.size()), 1, 1};
        break;
      case v1::Layer::kDropout:
        if (!(layer.dropout().rate() >= 0 && layer.dropout().rate() < 1)) {
          return Error("dropout.rate", absl::StrCat(layer.dropout().rate(),
                                                    " is not in [0, 1)"));
        }
        break;
      case v1::Layer::kRelu:
        break;
      case v1::Layer::KIND_NOT_SET:
        return Error("",
                     "has no kind: set dense, conv2d, max_pool, relu, "
                     "flatten or dropout");
    }
    current_.layer.set_name(current_.name);
    shape_ = current_.output;
    layers_.push_back(std::move(current_));
    return absl::OkStatus();
  }

  std::string NameOf(const v1::Layer& layer) {
    static constexpr const char* kNames[] = {
        "layer", "", "dense", "conv", "pool", "relu", "flatten", "dropout"};
    const std::string kind = kNames[layer.kind_case()];
    const int number = ++numbers_[kind];
    return layer.name().empty() ? absl::StrCat(kind, number) : layer.name();
  }

  absl::Status PlanDense(int index) {
    v1::Dense& dense = *current_.layer.mutable_dense();
    const bool is_last = index + 1 == job_.model().layers_size();
    if (dense.units() == 0 && is_last) dense.set_units(ExpectedOutputs());
    if (dense.units() < 1 || dense.units() > kMaxDimension) {
      return Error("dense.units",
                   absl::StrCat(dense.units(),
                                " is not from 1 to 2^24 (only the last layer "
                                "may leave it out)"));
    }
    if (!shape_.is_flat()) {
      return Error(
          "", absl::StrCat("a dense layer needs a flat input, not ",
                           ToString(shape_), ": put flatten {} before it"));
    }
    current_.output = {dense.units(), 1, 1};
    AddTensors({dense.units(), shape_.size()}, shape_.size(), dense.units(),
               index);
    return absl::OkStatus();
  }

  absl::Status PlanConv2d(int index) {
    v1::Conv2d& conv = *current_.layer.mutable_conv2d();
    if (conv.stride() == 0) conv.set_stride(1);
    if (conv.filters() < 1 || conv.filters() > kMaxDimension) {
      return Error("conv2d.filters",
                   absl::StrCat(conv.filters(), " is not from 1 to 2^24"));
    }
    if (conv.padding() < 0 || conv.padding() >= std::max(conv.kernel(), 1)) {
      return Error(
          "conv2d.padding",
          absl::StrCat(conv.padding(), " is not from 0 to kernel - 1 (",
                       conv.kernel() - 1, ")"));
    }
    TESSERA_ASSIGN_OR_RETURN(
        current_.output,
        Windows("conv2d", "kernel", conv.kernel(), conv.stride(),
                conv.padding(), conv.filters()));
    const int64_t fan_in =
        int64_t{shape_.channels} * conv.kernel() * conv.kernel();
    AddTensors({conv.filters(), shape_.channels, conv.kernel(), conv.kernel()},
               fan_in, conv.filters(), index);
    return absl::OkStatus();
  }

  absl::Status PlanMaxPool() {
    v1::MaxPool& pool = *current_.layer.mutable_max_pool();
    if (pool.stride() == 0) pool.set_stride(pool.size());
    TESSERA_ASSIGN_OR_RETURN(
        current_.output, Windows("max_pool", "size", pool.size(), pool.stride(),
                                 0, shape_.channels));
    return absl::OkStatus();
  }

  // The output of sliding a square window over the current shape; windows that
  // do not fit are left out, as is usual.
  absl::StatusOr<ActivationShape> Windows(absl::string_view kind,
                                          absl::string_view size_field,
                                          int size, int stride, int padding,
                                          int channels) const {
    // Padding may be anything below `size`, which has not been looked at yet.
    const int64_t height = shape_.height + 2 * int64_t{padding};
    const int64_t width = shape_.width + 2 * int64_t{padding};
    if (size < 1 || size > std::min(height, width)) {
      return Error(absl::StrCat(kind, ".", size_field),
                   absl::StrCat(size, " is not from 1 to what the input of ",
                                ToString(shape_), " with padding ", padding,
                                " has room for"));
    }
    if (size > kMaxWindow) {
      return Error(absl::StrCat(kind, ".", size_field),
                   absl::StrCat(size, " is not from 1 to ", kMaxWindow));
    }
    if (stride < 1) {
      return Error(absl::StrCat(kind, ".stride"),
                   absl::StrCat(stride, " is not at least 1"));
    }
    const int64_t rows = (height - size) / stride + 1;
    const int64_t columns = (width - size) / stride + 1;
    if (IsTooLarge(channels, rows, columns)) {
      return Error("", absl::StrCat("it would give ", rows, "x", columns, "x",
                                    channels, ", more than 2^31 - 1 values"));
    }
    return ActivationShape{channels, static_cast<int>(rows),
                           static_cast<int>(columns)};
  }

  void AddTensors(std::vector<int64_t> weight_shape, int64_t fan_in,
                  int64_t outputs, int index) {
    const double gain = NextIsRelu(index) ? 6.0 : 3.0;
    const float scale =
        static_cast<float>(std::sqrt(gain / static_cast<double>(fan_in)));
    current_.weight = static_cast<int>(tensors_.size());
    tensors_.push_back({.name = absl::StrCat(current_.name, ".weight"),
                        .shape = std::move(weight_shape),
                        .initializer = Initializer::kUniform,
                        .scale = scale});
    current_.bias = static_cast<int>(tensors_.size());
    tensors_.push_back(
        {.name = absl::StrCat(current_.name, ".bias"), .shape = {outputs}});
  }

  // Whether a ReLU follows, pooling aside (they commute).
  bool NextIsRelu(int index) const {
    for (int i = index + 1; i < job_.model().layers_size(); ++i) {
      const v1::Layer& next = job_.model().layers(i);
      if (next.has_relu()) return true;
      if (!next.has_max_pool()) return false;
    }
    return false;
  }

  int ExpectedOutputs() const {
    if (job_.data_set().classes() > 0) return job_.data_set().classes();
    return std::max(1, job_.data_set().generated_linear().outputs());
  }

  absl::Status CheckLoss() const {
    const int classes = job_.data_set().classes();
    const v1::Loss loss = job_.model().loss();
    if (loss != v1::LOSS_SOFTMAX_CROSS_ENTROPY &&
        loss != v1::LOSS_MEAN_SQUARED_ERROR) {
      return absl::InvalidArgumentError(
          "model.loss is not set: use LOSS_SOFTMAX_CROSS_ENTROPY or "
          "LOSS_MEAN_SQUARED_ERROR");
    }
    if (loss == v1::LOSS_SOFTMAX_CROSS_ENTROPY && classes < 2) {
      return absl::InvalidArgumentError(absl::StrCat(
          "model.loss: LOSS_SOFTMAX_CROSS_ENTROPY needs data with at least 2 "
          "classes, not ",
          classes, "; use LOSS_MEAN_SQUARED_ERROR for regression"));
    }
    if (shape_.size() != ExpectedOutputs()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "model.layers: the last layer gives ", ToString(shape_), " = ",
          shape_.size(), " values where the data needs ", ExpectedOutputs(),
          ": end with dense {}, which has as many units as the data needs"));
    }
    return absl::OkStatus();
  }

  const v1::Job& job_;
  ActivationShape shape_;
  LayerPlan current_;
  std::vector<LayerPlan> layers_;
  std::vector<TensorSpec> tensors_;
  std::map<std::string, int> numbers_;
};

}  // namespace

absl::StatusOr<ModelPlan> PlanModel(const v1::Job& job) {
  return Planner(job).Plan();
}

}  // namespace tessera
