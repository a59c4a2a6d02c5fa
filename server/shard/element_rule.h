// One element's arithmetic under each optimizer: the only place where it is
// written down. Loops over elements, on any device, are made of these.
//
// Everything that depends on the step alone is worked out in double precision
// and rounded to float32 once; per element there are only float32 additions,
// multiplications, divisions and square roots, in the order written, never
// fused. All of these are exact to the last bit under IEEE 754, on processors
// and, compiled as we compile it, in CUDA. So every device and every
// instruction set gives the same bits, for every optimizer.

#ifndef TESSERA_SERVER_SHARD_ELEMENT_RULE_H_
#define TESSERA_SERVER_SHARD_ELEMENT_RULE_H_

#include <cmath>

#if defined(__CUDACC__)
#define TESSERA_ELEMENTWISE __host__ __device__ inline
#else
// Into each of the clones of TESSERA_VECTOR_CLONES.
#define TESSERA_ELEMENTWISE __attribute__((always_inline)) inline
#endif

namespace tessera {

// What all optimizers have in common, at one step.
struct StepRule {
  float microbatches = 1;   // M.
  float clip = 0;           // Infinity for none.
  float coupled_decay = 0;  // Of weights, through the gradient.
  float rate = 0;
  float decay = 0;  // rate * decoupled decay of weights.

  // The gradient that the step works with, of a sum over M microbatches.
  TESSERA_ELEMENTWISE float Gradient(float sum, float parameter) const {
    float g = sum / microbatches;
    g = g < -clip ? -clip : g;
    g = g > clip ? clip : g;
    return g + coupled_decay * parameter;
  }
};

// x <- x - r g, after decay of x.
struct SgdRule {
  StepRule step;

  TESSERA_ELEMENTWISE float Update(float sum, float x) const {
    const float g = step.Gradient(sum, x);
    return (x - step.decay * x) - step.rate * g;
  }
};

// Polyak's momentum, or Nesterov's as in Sutskever et al., "On the importance
// of initialization and momentum in deep learning", 2013, in the form that
// takes the gradient at x itself.
struct MomentumRule {
  StepRule step;
  float momentum = 0;
  // The direction is `direct * g + carried * v`: (0, 1), or (1, momentum).
  float direct = 0;
  float carried = 1;

  TESSERA_ELEMENTWISE float Update(float sum, float x, float v,
                                   float& new_v) const {
    const float g = step.Gradient(sum, x);
    new_v = momentum * v + g;
    return (x - step.decay * x) - step.rate * (direct * g + carried * new_v);
  }
};

// AdamW; see the job file's reference.
struct AdamWRule {
  StepRule step;
  float beta1 = 0;
  float beta2 = 0;
  float one_minus_beta1 = 1;
  float one_minus_beta2 = 1;
  float epsilon = 0;
  float corrected_rate = 0;     // rate / (1 - beta1^t), t = step + 1.
  float second_correction = 1;  // 1 / (1 - beta2^t).

  TESSERA_ELEMENTWISE float Update(float sum, float x, float m, float v,
                                   float& new_m, float& new_v) const {
    const float g = step.Gradient(sum, x);
    new_m = beta1 * m + one_minus_beta1 * g;
    new_v = beta2 * v + one_minus_beta2 * (g * g);
    const float scale = sqrtf(new_v * second_correction) + epsilon;
    return (x - step.decay * x) - (corrected_rate * new_m) / scale;
  }
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_ELEMENT_RULE_H_
