"""Tests, one Catch2 binary each."""

def catch_test(name, srcs, deps, **kwargs):
    """A cc_test whose main function and status assertions are there already."""
    kwargs.setdefault("size", "small")
    native.cc_test(
        name = name,
        srcs = srcs,
        deps = deps + ["//tests/support"],
        **kwargs
    )
