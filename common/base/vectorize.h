// How elementwise loops get the widest vectors that the processor at hand has.

#ifndef TESSERA_COMMON_BASE_VECTORIZE_H_
#define TESSERA_COMMON_BASE_VECTORIZE_H_

// Before a function: compiles it once for each of these instruction sets; the
// loader picks one at start, so loops inside carry no test. None of the sets
// lets the compiler fuse a multiply with an add (-ffp-contract=off), so all
// give the same bits. Sanitizer builds go without: the loader picks before a
// sanitizer's runtime is up.
#if defined(__x86_64__) && !defined(TESSERA_SANITIZER)
#define TESSERA_VECTOR_CLONES \
  __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define TESSERA_VECTOR_CLONES
#endif

// Before a function or after a lambda's parameters, for what such a function
// calls for each element: goes into each of the clones.
#define TESSERA_INLINE_LOOP __attribute__((always_inline))

// Before a loop: element i depends on elements i of other arrays only, although
// an output may be the very same array as an input. (Clang warns where it
// cannot make use of that, as with a sanitizer's calls in the loop.)
#if defined(__clang__) && defined(TESSERA_SANITIZER)
#define TESSERA_INDEPENDENT_ELEMENTS
#elif defined(__clang__)
#define TESSERA_INDEPENDENT_ELEMENTS \
  _Pragma("clang loop vectorize(assume_safety)")
#else
#define TESSERA_INDEPENDENT_ELEMENTS _Pragma("GCC ivdep")
#endif

#endif  // TESSERA_COMMON_BASE_VECTORIZE_H_
