"""Libraries of GPU code, from one source for GPUs and for tests without one."""

load(":toolkit.bzl", "CudaArchitecturesInfo", "CudaToolkitInfo")

# Sums and optimizers give the same bits on every device: nothing is fused
# (-fmad=false), and divisions, square roots and denormals are IEEE's, which
# nvcc does unless told otherwise; said here so that nobody tells it.
_ARITHMETIC = [
    "-fmad=false",
    "-ftz=false",
    "-prec-div=true",
    "-prec-sqrt=true",
]

_HOST_FLAGS = [
    "-fPIC",
    "-ffp-contract=off",
    "-fno-omit-frame-pointer",
    "-Wall",
]

def _gencode(architectures):
    flags = []
    for name in architectures:
        flags += ["-gencode", "arch=compute_%s,code=sm_%s" % (name, name)]
    newest = architectures[-1]
    return flags + [
        "-gencode",
        "arch=compute_%s,code=compute_%s" % (newest, newest),
    ]

def _compile(ctx, source, output, flags):
    toolkit = ctx.attr._toolkit[CudaToolkitInfo]

    # buildifier: disable=native-cc-common
    infos = cc_common.merge_cc_infos(
        cc_infos = [dep[CcInfo] for dep in ctx.attr.deps],  # buildifier: disable=native-cc-info
    )
    context = infos.compilation_context
    arguments = ctx.actions.args()
    arguments.add_all([source, "-o", output] + flags)
    arguments.add_all(["-std=c++20", "-O3", "-lineinfo"] + _ARITHMETIC)
    arguments.add_all(["-Werror", "all-warnings"])

    # Of no use but to compile again with another nvcc.
    arguments.add("-DTESSERA_NVCC=" + toolkit.version)
    arguments.add_joined("-Xcompiler", _HOST_FLAGS, join_with = ",")
    arguments.add_all(context.quote_includes, before_each = "-I")
    ctx.actions.run(
        executable = toolkit.nvcc,
        arguments = [arguments],
        inputs = depset(
            [source] + ctx.files.hdrs,
            transitive = [context.headers],
        ),
        outputs = [output],
        mnemonic = "CudaCompile",
        progress_message = "Compiling %s with nvcc %s" %
                           (source.short_path, toolkit.version),
        use_default_shell_env = True,
    )

def _cuda_objects_impl(ctx):
    architectures = ctx.attr._architectures[CudaArchitecturesInfo].names
    objects = []
    ptx = []
    for source in ctx.files.srcs:
        stem = source.basename[:-len(".cu")]
        object = ctx.actions.declare_file(stem + ".cu.pic.o")
        _compile(ctx, source, object, ["-c"] + _gencode(architectures))
        objects.append(object)
        assembly = ctx.actions.declare_file(stem + ".ptx")
        newest = "-arch=compute_" + architectures[-1]
        _compile(ctx, source, assembly, ["-ptx", newest])
        ptx.append(assembly)
    return [
        DefaultInfo(files = depset(objects)),
        OutputGroupInfo(ptx = depset(ptx)),
    ]

_cuda_objects = rule(
    implementation = _cuda_objects_impl,
    attrs = {
        "deps": attr.label_list(providers = [CcInfo]),  # buildifier: disable=native-cc-info
        "hdrs": attr.label_list(allow_files = [".h"]),
        "srcs": attr.label_list(allow_files = [".cu"]),
        "_architectures": attr.label(default = "//.bazel/cuda:architectures"),
        "_toolkit": attr.label(default = "@cuda//:toolkit"),
    },
)

def cuda_library(
        name,
        hdrs = [],
        srcs = [],
        kernels = [],
        deps = [],
        cuda_deps = [],
        cublas = False,
        visibility = None):
    """A library over the CUDA runtime, and its twin for tests.

    `name` is compiled by nvcc (kernels) and the C++ compiler (srcs) and needs a
    toolkit; wildcards leave it out, so that only what is built for GPUs depends
    on it. `name`_on_host is the same source compiled by the C++ compiler alone,
    over a stand-in for the runtime: for tests, and tests only. `name`_ptx is
    what nvcc makes of the kernels, in words, for tests to read.

    Args:
      name: of the library.
      hdrs: headers. What includes them may include <cuda_runtime_api.h>.
      srcs: C++ sources.
      kernels: .cu sources. They launch through common/device/cuda/launch.h.
      deps: ordinary libraries.
      cuda_deps: other cuda_libraries.
      cublas: whether srcs may include <cublas_v2.h>.
      visibility: of both.
    """
    objects = []
    if kernels:
        _cuda_objects(
            name = name + "_objects",
            srcs = kernels,
            hdrs = hdrs,
            tags = ["manual"],
            visibility = ["//visibility:private"],
            deps = deps + cuda_deps,
        )
        objects = [name + "_objects"]
        native.filegroup(
            name = name + "_ptx",
            testonly = True,
            srcs = objects,
            output_group = "ptx",
            tags = ["manual"],
            visibility = visibility,
        )
    native.cc_library(
        name = name,
        srcs = srcs + objects,
        hdrs = hdrs,
        tags = ["manual"],
        visibility = visibility,
        deps = deps + cuda_deps + ["@cuda//:runtime"] +
               (["@cuda//:cublas"] if cublas else []),
    )
    copies = [kernel + ".cc" for kernel in kernels]
    for kernel, copy in zip(kernels, copies):
        native.genrule(
            name = name + "_" + kernel.replace(".", "_"),
            srcs = [kernel],
            outs = [copy],
            cmd = "cp $< $@",
            visibility = ["//visibility:private"],
        )
    native.cc_library(
        name = name + "_on_host",
        testonly = True,
        srcs = srcs + copies,
        hdrs = hdrs,
        visibility = visibility,
        deps = deps + [_on_host(dep) for dep in cuda_deps] +
               ["//tests/support/fake_cuda"] +
               (["//tests/support/fake_cuda:fake_cublas"] if cublas else []),
    )

def _on_host(label):
    return label + "_on_host" if ":" in label else label + ":" + label.split("/")[-1] + "_on_host"
