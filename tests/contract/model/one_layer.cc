#include "tests/contract/model/one_layer.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "common/job/job.h"
#include "tests/support/status.h"

namespace tessera {

ModelPlan OneLayer(const std::string& layer, const ActivationShape& input,
                   const ActivationShape& output) {
  const auto job = ParseJobText("model { layers { " + layer + " } }");
  REQUIRE_OK(job);
  LayerPlan plan{.name = "layer",
                 .layer = job->model().layers(0),
                 .input = input,
                 .output = output};
  std::vector<TensorSpec> tensors = {{.name = "before", .shape = {3}}};
  if (plan.layer.has_conv2d() || plan.layer.has_dense()) {
    const int k = plan.layer.conv2d().kernel();
    plan.weight = 1;
    plan.bias = 2;
    tensors.push_back(
        {.name = "weight",
         .shape = plan.layer.has_dense()
                      ? std::vector<int64_t>{output.size(), input.size()}
                      : std::vector<int64_t>{output.channels, input.channels, k,
                                             k}});
    tensors.push_back({.name = "bias", .shape = {output.channels}});
  }
  auto layout = Layout::Create(std::move(tensors));
  REQUIRE_OK(layout);
  return {.layers = {plan},
          .outputs = static_cast<int>(output.size()),
          .layout = *std::move(layout)};
}

}  // namespace tessera
