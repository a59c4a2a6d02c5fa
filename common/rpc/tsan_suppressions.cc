// What ThreadSanitizer is not to report; nothing in other builds.

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)

extern "C" const char* __tsan_default_suppressions();

// Much of gRPC's C++ API is templates in headers, which are instrumented in our
// binaries; the library below them is Debian's, which is not. How their state
// is handed from thread to thread cannot be seen. None of these calls our code
// but to destroy it.
const char* __tsan_default_suppressions() {
  return "race:grpc::internal::CallOpSet\n"
         "race:ServerCallbackUnaryImpl\n"
         "race:ServerCallbackReaderWriterImpl\n"
         "race:grpcpp/support/server_callback.h\n"
         "race:grpcpp/support/async_stream.h\n"
         "race:grpcpp/support/async_unary_call.h\n"
         "race:grpcpp/support/callback_common.h\n"
         "race:grpcpp/support/client_callback.h\n";
}

#endif
#endif
