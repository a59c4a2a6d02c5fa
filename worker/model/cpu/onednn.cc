#include "worker/model/cpu/onednn.h"

#include <dnnl_debug.h>

#include <cstring>
#include <new>
#include <string>

#include "absl/strings/str_cat.h"

// Of the OpenMP runtime that oneDNN is linked with. Clang has no omp.h beside
// GCC's runtime, and these two signatures never change.
extern "C" {
int omp_get_max_threads(void);
void omp_set_num_threads(int threads);
}

namespace tessera {

SingleThreadScope::SingleThreadScope()
    : threads_before_(omp_get_max_threads()) {
  omp_set_num_threads(1);  // A setting of the calling thread's.
}

SingleThreadScope::~SingleThreadScope() {
  omp_set_num_threads(threads_before_);
}

absl::Status CallOneDnn(absl::FunctionRef<absl::Status()> call) try {
  const SingleThreadScope one_thread;
  return call();
} catch (const dnnl::error& error) {
  const std::string text = absl::StrCat("oneDNN: ", error.what(), " (",
                                        dnnl_status2str(error.status), ")");
  return error.status == dnnl_out_of_memory ? absl::ResourceExhaustedError(text)
                                            : absl::InternalError(text);
} catch (const std::bad_alloc&) {
  return absl::ResourceExhaustedError("out of memory");
}

DnnContext::DnnContext()
    : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {
  ReserveScratch(1);
}

dnnl::primitive_attr DnnContext::Attributes() const {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

dnnl::memory DnnContext::Allocate(const dnnl::memory::desc& format) const {
  dnnl::memory memory(format, engine_);
  std::memset(memory.get_data_handle(), 0, format.get_size());
  return memory;
}

dnnl::memory DnnContext::Refer(const dnnl::memory::desc& format) const {
  return dnnl::memory(format, engine_, DNNL_MEMORY_NONE);
}

void DnnContext::ReserveScratch(size_t bytes) {
  if (bytes <= scratch_bytes_) return;
  scratch_ = Allocate({{static_cast<dnnl::memory::dim>(bytes)},
                       dnnl::memory::data_type::u8,
                       dnnl::memory::format_tag::a});
  scratch_bytes_ = bytes;
}

void DnnSequence::AddReorder(const dnnl::memory& from, const dnnl::memory& to) {
  const dnnl::reorder::primitive_desc description(from, to,
                                                  context_.Attributes());
  Add<dnnl::reorder>(description, {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}});
}

dnnl::memory DnnSequence::Converted(const dnnl::memory& from,
                                    const dnnl::memory::desc& format) {
  if (from.get_desc() == format) return from;
  dnnl::memory to = context_.Allocate(format);
  AddReorder(from, to);
  return to;
}

void DnnSequence::Append(dnnl::primitive primitive,
                         const dnnl::memory::desc& scratch,
                         Arguments arguments) {
  context_.ReserveScratch(scratch.get_size());
  Step step{.primitive = std::move(primitive),
            .arguments = std::move(arguments),
            .scratch = context_.Refer(scratch)};
  step.arguments.emplace(DNNL_ARG_SCRATCHPAD, step.scratch);
  steps_.push_back(std::move(step));
}

void DnnSequence::Run() {
  for (Step& step : steps_) {
    // Not before: it moves while primitives are still being made.
    step.scratch.set_data_handle(context_.scratch());
    step.primitive.execute(context_.stream(), step.arguments);
  }
}

}  // namespace tessera
