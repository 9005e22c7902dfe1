"""Optimizers work without torch's compiler, and with it once it is there."""

import subprocess
import sys

CODE = """
import sys
import torch
from s3prl_sb.startup.optimizers import spare_the_compiler

kinds = [k for k in vars(torch.optim).values() if isinstance(k, type)]
kinds = [k for k in kinds if issubclass(k, torch.optim.Optimizer)]
kinds = [k for k in kinds if k.__name__ in KINDS]
assert len(kinds) == len(KINDS)

def trained():
    result = {}
    for kind in kinds:
        weight = torch.nn.Parameter(torch.ones(3))
        optimizer = kind([weight], lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            (weight * torch.arange(3.0)).square().sum().backward()
            optimizer.step(lambda: 0.0)
            optimizer.load_state_dict(optimizer.state_dict())
            assert torch.is_grad_enabled()
        assert weight.isfinite().all() and weight[2] < 1, kind
        result[kind.__name__] = weight.tolist()
    return result

spare_the_compiler()
spared = trained()
assert "torch._dynamo" not in sys.modules
import torch._dynamo

breaks, graph_break = [], torch._dynamo.graph_break
torch._dynamo.graph_break = lambda: breaks.append(1) or graph_break()
assert trained() == spared
assert breaks, "the methods are not torch's own"
"""
KINDS = "Adadelta Adagrad Adam AdamW Adamax ASGD NAdam RAdam RMSprop Rprop SGD".split()


def test_the_compiler_is_spared_until_it_is_there():
    code = CODE.replace("KINDS", repr(KINDS))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
