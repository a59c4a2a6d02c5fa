"""Fuzz targets: each a libFuzzer program, and a test that runs its corpus."""

load("//tests:catch_test.bzl", "catch_test")

def fuzz_target(name, deps, local_defines = []):
    """NAME.cc defines LLVMFuzzerTestOneInput; corpus/NAME/ holds inputs.

    Makes NAME_fuzzer, which searches for inputs that break the target and
    builds with --config=fuzz alone, and NAME_corpus_test, an ordinary test for
    every compiler, which runs the inputs that are known.

    Args:
      name: of the target, the source file and the corpus.
      deps: what is fuzzed.
      local_defines: for the source file.
    """
    native.cc_library(
        name = name,
        testonly = True,
        srcs = [name + ".cc"],
        hdrs = ["fuzz_target.h"],
        local_defines = local_defines,
        deps = deps,
        alwayslink = True,
    )
    native.cc_binary(
        name = name + "_fuzzer",
        testonly = True,
        linkopts = ["-fsanitize=fuzzer"],
        # Other compilers do not know libFuzzer: not for `bazel build //...`.
        tags = ["manual"],
        deps = [":" + name],
    )
    catch_test(
        name = name + "_corpus_test",
        srcs = ["corpus_test.cc"],
        data = native.glob(["corpus/%s/*" % name]),
        local_defines = [
            'TESSERA_CORPUS=\\"tests/fuzz/corpus/%s\\"' % name,
        ],
        deps = [
            ":" + name,
            "//common/base",
        ],
    )
