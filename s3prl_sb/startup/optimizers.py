"""Optimizers that do not import torch's compiler.

``step``, ``zero_grad`` and three more methods of an optimizer import ``torch._dynamo``,
to exclude them from compilation: a second of CPU time for nothing in a program that
compiles nothing.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import sys


def spare_the_compiler():
    """Lets torch's optimizers work without ``torch._dynamo`` in this process.

    As soon as something else imports it, such as ``--compile``, the methods are
    torch's own again. No number depends on it. Call it before the first optimizer is
    made; a version of torch whose methods look different is left as it is.

    Example
    -------
    >>> import torch
    >>> spare_the_compiler()
    >>> torch.optim.Adam([torch.nn.Parameter(torch.ones(1))]).zero_grad()
    """
    import torch

    optimizer = torch.optim.Optimizer
    kinds = [each for each in vars(torch.optim).values() if isinstance(each, type)]
    for kind in [each for each in kinds if issubclass(each, optimizer)]:
        for name, method in list(vars(kind).items()):
            code = getattr(method, "__code__", None)
            if code is None or not hasattr(method, "__wrapped__"):
                continue
            if code.co_name == "inner" and code.co_filename.endswith("_compile.py"):
                setattr(kind, name, _spared(method, method.__wrapped__))
            elif code.co_name == "_use_grad":
                setattr(kind, name, _spared(method, _with_grad(method.__wrapped__)))


def _spared(method, plain):
    """Returns a method that is the plain one until the compiler is there."""

    @functools.wraps(method)
    def spared(self, *args, **kwargs):
        is_there = "torch._dynamo" in sys.modules
        return (method if is_there else plain)(self, *args, **kwargs)

    return spared


def _with_grad(step):
    """Returns a step that records gradients only if the optimizer says so."""
    import torch

    def run(self, *args, **kwargs):
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            return step(self, *args, **kwargs)

    return run
