"""Which CUDA toolkit builds, and for which GPUs."""

CudaToolkitInfo = provider(
    doc = "A CUDA toolkit on this machine.",
    fields = {
        "nvcc": "the compiler's path",
        "version": "as nvcc prints it; in every action, so that they notice",
    },
)

CudaArchitecturesInfo = provider(
    doc = "GPUs to compile for.",
    fields = {"names": "compute capabilities without the point, ascending"},
)

def _cuda_toolkit_impl(ctx):
    return [CudaToolkitInfo(nvcc = ctx.attr.nvcc, version = ctx.attr.version)]

cuda_toolkit = rule(
    implementation = _cuda_toolkit_impl,
    attrs = {
        "nvcc": attr.string(mandatory = True),
        "version": attr.string(mandatory = True),
    },
)

def _cuda_architectures_impl(ctx):
    names = [name.strip() for name in ctx.build_setting_value.split(",")]
    for name in names:
        if not name.isdigit() or int(name) < 75:
            fail(("//.bazel/cuda:architectures=%s: \"%s\" is no compute " +
                  "capability of 7.5 or more, like 75, 80, 86, 89, 90 or 100") %
                 (ctx.build_setting_value, name))
    return [CudaArchitecturesInfo(names = sorted(names, key = int))]

cuda_architectures = rule(
    implementation = _cuda_architectures_impl,
    build_setting = config.string(flag = True),
)
