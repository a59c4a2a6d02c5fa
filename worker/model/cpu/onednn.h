// oneDNN, with what a chain of its primitives needs: one engine and stream, one
// scratch memory for all, conversions between memory formats, one thread, and
// errors as absl::Status.

#ifndef TESSERA_WORKER_MODEL_CPU_ONEDNN_H_
#define TESSERA_WORKER_MODEL_CPU_ONEDNN_H_

#include <cstddef>
#include <dnnl.hpp>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace tessera {

// While it lives, oneDNN uses the calling thread alone: Debian's oneDNN shares
// work among OpenMP threads, and how it cuts sums, hence their rounding,
// depends on their number. Needed around making primitives as well as running
// them.
class SingleThreadScope {
 public:
  SingleThreadScope();
  ~SingleThreadScope();
  SingleThreadScope(const SingleThreadScope&) = delete;
  SingleThreadScope& operator=(const SingleThreadScope&) = delete;

 private:
  const int threads_before_;
};

// Runs `call` under SingleThreadScope. Codes: those of `call`; for what oneDNN
// throws, RESOURCE_EXHAUSTED for memory, else INTERNAL.
absl::Status CallOneDnn(absl::FunctionRef<absl::Status()> call);

// What the layers of one network share. Not thread-safe; everything but the
// destructor may throw dnnl::error.
class DnnContext {
 public:
  DnnContext();

  const dnnl::engine& engine() const { return engine_; }
  dnnl::stream& stream() { return stream_; }

  // Attributes for every primitive: scratch memory comes from us, because the
  // library's own belongs to the thread that made the primitive.
  dnnl::primitive_attr Attributes() const;

  // Zeroed memory of this format. (Formats may pad channels, and every
  // primitive keeps padding at 0.)
  dnnl::memory Allocate(const dnnl::memory::desc& format) const;

  // Memory in this format at an address to be set later.
  dnnl::memory Refer(const dnnl::memory::desc& format) const;

  // Sees to it that scratch() has as many bytes; earlier pointers to it end.
  void ReserveScratch(size_t bytes);
  void* scratch() const { return scratch_.get_data_handle(); }

 private:
  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::memory scratch_;
  size_t scratch_bytes_ = 0;
};

// Primitives with their arguments, run in order.
class DnnSequence {
 public:
  using Arguments = std::unordered_map<int, dnnl::memory>;

  // `context` must outlive the sequence.
  explicit DnnSequence(DnnContext& context) : context_(context) {}

  // Appends the primitive of `description`, which was made with
  // DnnContext::Attributes.
  template <typename Primitive>
  void Add(const typename Primitive::primitive_desc& description,
           Arguments arguments) {
    Append(Primitive(description), description.scratchpad_desc(),
           std::move(arguments));
  }

  // Appends a copy of `from` to `to`, whose formats may differ.
  void AddReorder(const dnnl::memory& from, const dnnl::memory& to);

  // `from` in another format: `from` itself if that is its format, else new
  // memory and a step that fills it.
  dnnl::memory Converted(const dnnl::memory& from,
                         const dnnl::memory::desc& format);

  void Run();

 private:
  struct Step {
    dnnl::primitive primitive;
    Arguments arguments;
    dnnl::memory scratch;
  };

  void Append(dnnl::primitive primitive, const dnnl::memory::desc& scratch,
              Arguments arguments);

  DnnContext& context_;
  std::vector<Step> steps_;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_MODEL_CPU_ONEDNN_H_
