// From the memory format of oneDNN's choice to row-major.

#ifndef TESSERA_WORKER_MODEL_CPU_TO_PLAIN_H_
#define TESSERA_WORKER_MODEL_CPU_TO_PLAIN_H_

#include "worker/model/cpu/activation.h"
#include "worker/model/cpu/onednn.h"
#include "worker/model/layer.h"

namespace tessera {

// The same values, row-major: for layers to which the order of values matters.
class ToPlain : public Layer {
 public:
  // `plain` is row-major and of the input's shape. `context` must outlive the
  // layer. Throws dnnl::error.
  ToPlain(DnnContext& context, const Activation& input,
          const dnnl::memory::desc& plain);

  const Activation& output() const { return output_; }

  void Forward(int64_t) override { forward_.Run(); }
  void Backward(float*) override { backward_.Run(); }

 private:
  const Activation output_;
  DnnSequence forward_;
  DnnSequence backward_;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_MODEL_CPU_TO_PLAIN_H_
