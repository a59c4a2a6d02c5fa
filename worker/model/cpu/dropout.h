// Dropout (Srivastava et al., "Dropout: a simple way to prevent neural networks
// from overfitting", 2014), scaled while training ("inverted"), so that
// evaluation leaves it out.

#ifndef TESSERA_WORKER_MODEL_CPU_DROPOUT_H_
#define TESSERA_WORKER_MODEL_CPU_DROPOUT_H_

#include <cstdint>
#include <vector>

#include "common/base/philox.h"
#include "worker/model/cpu/activation.h"
#include "worker/model/layer.h"

namespace tessera {

// y = x m / (1 - rate), in place, with m 0 at a share `rate` of places, else 1.
// The mask is a pure function of (seed, layer, sample number, position in the
// sample), so it does not depend on how a step is cut into microbatches.
class Dropout : public Layer {
 public:
  struct Options {
    int samples = 1;
    float rate = 0;  // In [0, 1).
    uint64_t seed = 0;
    uint32_t layer_index = 0;  // In the job's list of layers.
  };

  // `activation` must be plain.
  Dropout(const Activation& activation, const Options& options);

  const Activation& output() const { return activation_; }

  void Forward(int64_t first_sample) override;
  void Backward(float* gradient) override;

 private:
  void DrawMask(uint64_t first_sample);

  const Activation activation_;
  const Philox random_;
  // A word of random bits below this one drops its place.
  const uint32_t threshold_;
  const float scale_;
  const size_t sample_size_;
  std::vector<float> mask_;  // 0 or scale_.
};

}  // namespace tessera

#endif  // TESSERA_WORKER_MODEL_CPU_DROPOUT_H_
