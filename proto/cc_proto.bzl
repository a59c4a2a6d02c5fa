"""C++ classes and gRPC stubs from .proto files, by Debian's protoc."""

def cc_grpc_library(name, srcs, visibility):
    """Generates and compiles each file's messages and services.

    Args:
      name: the cc_library.
      srcs: .proto files, named relative to the package, which is their root.
      visibility: of the library.
    """
    outs = []
    for src in srcs:
        stem = src[:-len(".proto")]
        outs += [stem + ending for ending in [
            ".pb.h",
            ".pb.cc",
            ".grpc.pb.h",
            ".grpc.pb.cc",
        ]]
    native.genrule(
        name = name + "_gen",
        srcs = srcs,
        outs = outs,
        cmd = " ".join([
            "protoc --proto_path=%s" % native.package_name(),
            "--cpp_out=$(RULEDIR) --grpc_out=$(RULEDIR)",
            "--plugin=protoc-gen-grpc=$$(command -v grpc_cpp_plugin)",
            "$(SRCS)",
        ]),
        message = "Generating C++ from",
    )
    native.cc_library(
        name = name,
        srcs = [out for out in outs if out.endswith(".cc")],
        hdrs = [out for out in outs if out.endswith(".h")],
        # Generated code is not ours to keep free of warnings.
        copts = ["-w"],
        includes = ["."],
        visibility = visibility,
        deps = ["@debian//:grpc"],
    )
