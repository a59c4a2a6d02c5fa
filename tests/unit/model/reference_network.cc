#include "tests/unit/model/reference_network.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "common/base/philox.h"

namespace tessera {
namespace {

using Values = std::vector<double>;

// Of one sample.
size_t At(const ActivationShape& s, int c, int i, int j) {
  return static_cast<size_t>((c * s.height + i) * s.width + j);
}

const double* Tensor(const ModelPlan& model, int index, const Values& params) {
  return &params[static_cast<size_t>(
      model.layout.tensors()[static_cast<size_t>(index)].offset)];
}

Values Dense(const LayerPlan& plan, const double* w, const double* b,
             const Values& x) {
  Values y(static_cast<size_t>(plan.output.size()));
  for (size_t o = 0; o < y.size(); ++o) {
    y[o] = b[o];
    for (size_t i = 0; i < x.size(); ++i) y[o] += w[o * x.size() + i] * x[i];
  }
  return y;
}

Values Conv(const LayerPlan& plan, const double* w, const double* b,
            const Values& x) {
  const v1::Conv2d& conv = plan.layer.conv2d();
  const int k = conv.kernel();
  Values y(static_cast<size_t>(plan.output.size()));
  for (int o = 0; o < plan.output.channels; ++o) {
    for (int i = 0; i < plan.output.height; ++i) {
      for (int j = 0; j < plan.output.width; ++j) {
        double sum = b[o];
        for (int c = 0; c < plan.input.channels; ++c) {
          for (int u = 0; u < k; ++u) {
            for (int v = 0; v < k; ++v) {
              const int row = i * conv.stride() + u - conv.padding();
              const int column = j * conv.stride() + v - conv.padding();
              if (row < 0 || row >= plan.input.height) continue;
              if (column < 0 || column >= plan.input.width) continue;
              sum += w[((o * plan.input.channels + c) * k + u) * k + v] *
                     x[At(plan.input, c, row, column)];
            }
          }
        }
        y[At(plan.output, o, i, j)] = sum;
      }
    }
  }
  return y;
}

Values Pool(const LayerPlan& plan, const Values& x) {
  const v1::MaxPool& pool = plan.layer.max_pool();
  Values y(static_cast<size_t>(plan.output.size()));
  for (int c = 0; c < plan.output.channels; ++c) {
    for (int i = 0; i < plan.output.height; ++i) {
      for (int j = 0; j < plan.output.width; ++j) {
        double largest = -std::numeric_limits<double>::infinity();
        for (int u = 0; u < pool.size(); ++u) {
          for (int v = 0; v < pool.size(); ++v) {
            largest =
                std::max(largest, x[At(plan.input, c, i * pool.stride() + u,
                                       j * pool.stride() + v)]);
          }
        }
        y[At(plan.output, c, i, j)] = largest;
      }
    }
  }
  return y;
}

// The mask's definition: place p of sample n takes word p % 4 of position
// n * ceil(size / 4) + p / 4.
void Drop(const Philox& random, double rate, int64_t sample, Values& x) {
  const uint64_t draws = (x.size() + 3) / 4;
  for (size_t p = 0; p < x.size(); ++p) {
    const auto words =
        random.Words(static_cast<uint64_t>(sample) * draws + p / 4);
    x[p] = words[p % 4] * 0x1p-32 < rate ? 0 : x[p] / (1 - rate);
  }
}

Values ForwardSample(const ModelPlan& model, const Values& params, Values x,
                     const ReferenceOptions& options, int64_t sample) {
  uint32_t index = 0;
  for (const LayerPlan& plan : model.layers) {
    if (plan.layer.has_dense()) {
      x = Dense(plan, Tensor(model, plan.weight, params),
                Tensor(model, plan.bias, params), x);
    } else if (plan.layer.has_conv2d()) {
      x = Conv(plan, Tensor(model, plan.weight, params),
               Tensor(model, plan.bias, params), x);
    } else if (plan.layer.has_max_pool()) {
      x = Pool(plan, x);
    } else if (plan.layer.has_relu()) {
      for (double& value : x) value = std::max(value, 0.0);
    } else if (plan.layer.has_dropout() && options.training) {
      Drop(Philox(options.seed, RandomStream::kDropout, index),
           double{plan.layer.dropout().rate()}, sample, x);
    }
    ++index;
  }
  return x;
}

}  // namespace

std::vector<double> ReferenceForward(const ModelPlan& model,
                                     const std::vector<double>& params,
                                     std::vector<double> inputs,
                                     const ReferenceOptions& options) {
  Values outputs;
  const int64_t size = model.layers[0].input.size();
  for (int i = 0; i < options.samples; ++i) {
    const auto begin = inputs.begin() + i * size;
    const Values y = ForwardSample(model, params, Values(begin, begin + size),
                                   options, options.first_sample + i);
    outputs.insert(outputs.end(), y.begin(), y.end());
  }
  return outputs;
}

double ReferenceSoftmaxCrossEntropy(const std::vector<double>& outputs,
                                    const std::vector<int32_t>& labels) {
  const size_t classes = outputs.size() / labels.size();
  double loss = 0;
  for (size_t sample = 0; sample < labels.size(); ++sample) {
    const double* x = &outputs[sample * classes];
    double sum = 0;
    for (size_t i = 0; i < classes; ++i) {
      sum += std::exp(x[i] - x[labels[sample]]);
    }
    loss += std::log(sum);
  }
  return loss / static_cast<double>(labels.size());
}

double ReferenceMeanSquaredError(const std::vector<double>& outputs,
                                 const std::vector<float>& targets) {
  double loss = 0;
  for (size_t i = 0; i < outputs.size(); ++i) {
    loss += std::pow(outputs[i] - double{targets[i]}, 2);
  }
  return loss / static_cast<double>(outputs.size());
}

}  // namespace tessera
