// The shapes of a model: what each layer takes and gives, and where its
// parameters lie.

#ifndef TESSERA_COMMON_JOB_MODEL_PLAN_H_
#define TESSERA_COMMON_JOB_MODEL_PLAN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/tensor/layout.h"
#include "tessera/v1/job.pb.h"

namespace tessera {

// One sample's activation. Spatial activations are stored channels first
// (C, H, W); a flat one has height = width = 1.
struct ActivationShape {
  int channels = 1;
  int height = 1;
  int width = 1;

  int64_t size() const { return int64_t{channels} * height * width; }
  bool is_flat() const { return height == 1 && width == 1; }
  friend bool operator==(const ActivationShape&,
                         const ActivationShape&) = default;
};

struct LayerPlan {
  // The layer's name, given or made up.
  std::string name;
  // With sizes and defaults filled in.
  v1::Layer layer;
  ActivationShape input;
  ActivationShape output;
  // Indices into layout.tensors(), or -1 for a layer without parameters.
  int weight = -1;
  int bias = -1;
};

struct ModelPlan {
  std::vector<LayerPlan> layers;
  v1::Loss loss = v1::LOSS_UNSPECIFIED;
  // The last layer's outputs: classes, or regression targets.
  int outputs = 0;
  // In layer order; a layer's weight, then its bias.
  Layout layout;
};

// Walks the layers from the sample's shape to the loss. The job's sample_shape
// and classes must be known. Weights start uniform in +-sqrt(6 / fan_in) before
// a ReLU (He et al., "Delving deep into rectifiers", 2015) and in
// +-sqrt(3 / fan_in) elsewhere; biases start at 0. Codes: INVALID_ARGUMENT,
// naming the layer, the value and what would be right.
absl::StatusOr<ModelPlan> PlanModel(const v1::Job& job);

}  // namespace tessera

#endif  // TESSERA_COMMON_JOB_MODEL_PLAN_H_
