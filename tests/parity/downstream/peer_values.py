"""Values that S3PRL computed (see make.py), and the comparison with ours."""

import json
from pathlib import Path
from types import SimpleNamespace

import torch
from safetensors.torch import load_file
from torch.nn.utils.rnn import pad_sequence

HERE = Path(__file__).parent / "fixtures"
LINEAR = {"projector": "projection", "connector": "projection"}


class Values:
    """The fixtures of a task: tensors by name, and ``facts``."""

    def __init__(self, task):
        self.facts = json.loads((HERE / f"{task}.json").read_text())
        self.tensors = load_file(HERE / f"{task}.safetensors")

    def __getitem__(self, name):
        return self.tensors[name]

    def group(self, name):
        """The tensors below a name; a list where they are numbered."""
        found = {
            key[len(name) + 1 :]: value
            for key, value in self.tensors.items()
            if key.startswith(f"{name}/")
        }
        if all(key.isdecimal() for key in found):
            return [found[str(i)] for i in range(len(found))]
        return found

    def batch(self):
        """Padded features that ask for a gradient, relative lengths, frames."""
        features = self.group("feature")
        frames = torch.tensor([len(x) for x in features])
        padded = pad_sequence(features, batch_first=True).requires_grad_()
        return padded, frames / frames.max(), frames


def ours(name, value):
    """S3PRL's name and value of a weight, or of its gradient, as we have them."""
    parts = name.split(".")
    kind = parts[-1]
    if parts[0] in LINEAR:
        return f"{LINEAR[parts[0]]}.{kind}", value
    if "rnns" in parts:  # model.rnns.1.layer.weight_ih_l0_reverse
        return f"lstm.{kind.replace('_l0', '_l' + parts[2])}", value
    if parts[1] == "rnn":
        return f"recurrent.{kind}", value
    if "kernel" in parts:  # [out, context * in] is a convolution's [out, in, context]
        layer = int(parts[-3])
        if kind == "weight":
            context = (5, 3, 3, 1, 1)[layer]
            value = value.reshape(len(value), context, -1).transpose(1, 2)
        return f"convolutions.{layer}.{kind}", value
    if "utterancelevel_feature_extractor" in parts:
        return (
            f"{ {'linear1': 'embedding', 'linear2': 'last'}[parts[2]] }.{kind}",
            value,
        )
    if name == "objective.W":
        return "loss.weight", value.T
    return f"classifier.{kind}", value


def with_weights(values, head, loss=None, group="weight"):
    """The head, and the loss, with S3PRL's weights; every weight finds its place."""
    modules = torch.nn.ModuleDict({"head": head})
    if loss is not None:
        modules["loss"] = loss
    weights = dict(ours(*item) for item in values.group(group).items())
    modules.load_state_dict(
        {k if k.startswith("loss.") else f"head.{k}": v for k, v in weights.items()}
    )
    return modules


def brain(cls, **attributes):
    """A Brain that has these attributes and no run around it."""
    made = cls.__new__(cls)
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def batch_of(**items):
    """A batch that knows these items."""
    return SimpleNamespace(**items)


def error(found, expected):
    """The largest difference, relative to the largest value."""
    assert found.shape == expected.shape
    return ((found - expected).abs().max() / expected.abs().max()).item()


def gradient_errors(values, modules, features):
    """Relative errors of the gradients of every weight and of all features."""
    found = dict(modules["head"].named_parameters())
    if "loss" in modules:
        found |= {f"loss.{k}": v for k, v in modules["loss"].named_parameters()}
    errors = {}
    for item in values.group("gradient").items():
        name, expected = ours(*item)
        errors[name] = error(found[name].grad, expected)
    assert errors.keys() == found.keys()
    for i, expected in enumerate(values.group("feature_gradient")):
        gradient = features.grad[i]
        errors[f"feature {i}"] = error(gradient[: len(expected)], expected)
        assert (gradient[len(expected) :] == 0).all()  # of padding
    return errors
