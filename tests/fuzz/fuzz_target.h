// What libFuzzer calls (https://llvm.org/docs/LibFuzzer.html). Each target's
// source file defines it.

#ifndef TESSERA_TESTS_FUZZ_FUZZ_TARGET_H_
#define TESSERA_TESTS_FUZZ_FUZZ_TARGET_H_

#include <cstddef>
#include <cstdint>

// Runs the target on one input. Returns 0; ends the process, by TESSERA_CHECK
// or a sanitizer, when a property does not hold.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

#endif  // TESSERA_TESTS_FUZZ_FUZZ_TARGET_H_
