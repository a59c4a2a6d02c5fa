"""Finds the CUDA toolkit that this machine has."""

_HELP = """

--config=cuda needs NVIDIA's CUDA Toolkit, 12.0 or newer: the compiler nvcc, the
runtime and cuBLAS with their headers. On Debian 12, with NVIDIA's repository
(https://developer.nvidia.com/cuda-downloads):

  apt-get install cuda-nvcc-13-0 cuda-cudart-dev-13-0 libcublas-dev-13-0

It is looked for in $CUDA_HOME, then where the nvcc on the PATH is, then in
/usr/local/cuda. No GPU is needed to build. Without --config=cuda nothing of
this is needed, and programs run on the CPU.
"""

def _fail(message):
    fail("No CUDA: " + message + _HELP)

# What nvcc itself takes for its toolkit: the one on the PATH is often a script
# that starts another.
def _root_of(ctx, nvcc):
    result = ctx.execute([nvcc, "--dryrun", "-x", "cu", "-c", "/dev/null"])
    for line in result.stderr.split("\n"):
        if line.startswith("#$ _HERE_="):
            return ctx.path(line[len("#$ _HERE_="):].strip()).dirname
    return nvcc.realpath.dirname.dirname

# The folder that holds bin/nvcc.
def _find_root(ctx):
    home = ctx.os.environ.get("CUDA_HOME")
    if home:
        if not ctx.path(home + "/bin/nvcc").exists:
            _fail("CUDA_HOME is %s, where there is no bin/nvcc." % home)
        return ctx.path(home)
    nvcc = ctx.which("nvcc")
    if nvcc:
        return _root_of(ctx, nvcc)
    if ctx.path("/usr/local/cuda/bin/nvcc").exists:
        return ctx.path("/usr/local/cuda")
    return _fail("CUDA_HOME is not set, there is no nvcc on the PATH and " +
                 "nothing in /usr/local/cuda.")

# The first of `folders` under `root` that has a file of this name.
def _find_folder(ctx, root, folders, name):
    for folder in folders:
        found = "%s/%s" % (root, folder)
        if ctx.path("%s/%s" % (found, name)).exists:
            return found
    return _fail("%s has no %s in %s." % (root, name, ", ".join(folders)))

def _version_of(ctx, nvcc):
    result = ctx.execute([nvcc, "--version"])
    if result.return_code != 0 or "release " not in result.stdout:
        _fail("%s --version failed: %s%s" %
              (nvcc, result.stdout, result.stderr))

    # As in "Cuda compilation tools, release 13.0, V13.0.88".
    version = result.stdout.split("release ")[1].split(", ")[1].split("\n")[0]
    if int(version[1:].split(".")[0]) < 12:
        _fail("%s is release %s, which does not know C++20." % (nvcc, version))
    return version

def _find_cuda_toolkit_impl(ctx):
    root = _find_root(ctx)
    nvcc = "%s/bin/nvcc" % root
    include = _find_folder(
        ctx,
        root,
        ["include", "targets/x86_64-linux/include"],
        "cuda_runtime_api.h",
    )
    lib = _find_folder(
        ctx,
        root,
        ["lib64", "lib", "targets/x86_64-linux/lib", "lib/x86_64-linux-gnu"],
        "libcudart_static.a",
    )
    ctx.symlink(include, "include")
    ctx.symlink(lib, "lib")
    ctx.template("BUILD.bazel", Label("//.bazel/cuda:toolkit.BUILD"), {
        "{lib}": lib,
        "{nvcc}": nvcc,
        "{version}": _version_of(ctx, nvcc),
    })

find_cuda_toolkit = repository_rule(
    implementation = _find_cuda_toolkit_impl,
    doc = "Makes a repository of the toolkit on this machine. Looked at only " +
          "when something that needs CUDA is built.",
    environ = ["CUDA_HOME", "PATH"],
    local = True,
)
