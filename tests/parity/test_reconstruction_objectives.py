"""Objectives that reconstruct features: S3PRL's masks, losses and gradients.

The numbers are of S3PRL 0.4.18 itself, see ``s3prl_pretraining.py``.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from s3prl_sb.lobes.checkpoints.reading import read
from s3prl_sb.lobes.pretext.alterations import (
    FrequencyMask,
    LongTimeMask,
    TimeMask,
    altered,
)
from s3prl_sb.lobes.pretext.draws import Draws
from s3prl_sb.lobes.upstreams.apc import Apc
from s3prl_sb.lobes.upstreams.features import StftFeatures
from s3prl_sb.lobes.upstreams.mockingjay import Mockingjay, Tera
from s3prl_sb.lobes.upstreams.npc import Npc
from s3prl_sb.objectives import reconstruction
from s3prl_sb.objectives.apc import APC
from s3prl_sb.objectives.masked_reconstruction import MaskedReconstruction
from s3prl_sb.objectives.npc import NPC

HERE = Path(__file__).parent
SIZES = [45, 45, 30]  #: frames of the utterances of APC and NPC


def fixture(name):
    """S3PRL's arrays for a checkpoint."""
    return np.load(HERE / "pretraining" / f"{name}.npz")


def checkpoint(name):
    return HERE / "fixtures" / name / "ckpt.pt"


def draws(count=3):
    return Draws(0, [0] * count, range(count))


# ------------------------------------------------------------------------- masks
class Replay:
    """A generator that returns what S3PRL drew."""

    def __init__(self, values, lengths):
        self.drawn = np.split(values, np.cumsum(lengths)[:-1])

    def permutation(self, of):
        order = self.drawn.pop(0).astype(int)
        return order if isinstance(of, int) else of[order]

    def random(self):
        return self.drawn.pop(0).item()

    def integers(self, low, high, endpoint):
        value = int(self.drawn.pop(0)[0])
        assert low <= value <= high
        return value


MASKS = {
    "time": [TimeMask(0.4)],
    "apart": [TimeMask(0.4, overlap=False)],
    "both": [TimeMask(0.4), FrequencyMask(0.4)],
    "long": [LongTimeMask(20), FrequencyMask(3, count=2)],
}


@pytest.mark.parametrize("name", MASKS)
def test_masks_are_those_of_s3prl(name):
    theirs, kinds = fixture("masks"), set()
    for i, spectrum in enumerate(theirs["spectra"]):
        replay = Replay(theirs[f"{name}/draws{i}"], theirs[f"{name}/lengths{i}"])
        if name != "long":
            assert replay.drawn.pop(0) == 7  # the length of a span
        x = torch.from_numpy(spectrum)
        masked, label = altered(x, MASKS[name], replay)
        assert not replay.drawn
        assert torch.equal(masked, torch.from_numpy(theirs[f"{name}/spec"][i]))
        assert torch.equal(label, torch.from_numpy(theirs[f"{name}/label"][i]))
        kinds.add("same" if torch.equal(masked, x) else str(masked.eq(0).any().item()))
    assert len(kinds) >= 2 or name != "time"  # zeroed, replaced or left


# ------------------------------------------------------------------------ losses
def our_gradients(objective):
    """{our name: norm of the gradient, its product with the parameter}."""
    return {
        name: np.array([p.grad.norm().item(), (p.grad * p).sum().item()])
        for name, p in objective.named_parameters()
        if p.grad is not None
    }


def names(upstream_class, name, tmp_path):
    """{our name: S3PRL's name} of the weights, by the reader of the family."""
    content = read(checkpoint(name))
    key = "model" if "model" in content else "Transformer"
    theirs = list(content[key])
    for i, weight in enumerate(content[key].values()):
        weight.fill_(i)
    torch.save(content, tmp_path / "marked.pt")
    network = upstream_class(str(tmp_path / "marked.pt")).network
    ours = {f"network.network.{n}": p for n, p in network.named_parameters()}
    return {n: theirs[int(p.flatten()[0].item())] for n, p in ours.items()}


def check_gradients(objective, named, theirs):
    """Compares norms and products; parts of one weight of S3PRL are added."""
    sums = {}
    for name, (norm, product) in our_gradients(objective).items():
        entry = sums.setdefault(named[name], np.zeros(2))
        entry += [norm**2, product]
    expected = {key[9:]: theirs[key] for key in theirs.files if "gradient/" in key}
    assert set(sums) == set(expected)
    largest = max(norm for norm, _ in expected.values())
    for name, (norm, product) in expected.items():
        square, ours = sums[name]
        assert abs(square**0.5 - norm) < 1e-5 * largest, name
        assert abs(ours - product) < 2e-5 * largest, name


def on_features(objective, x, frames):
    """The objective, for which any waveforms have these features."""
    packed = torch.cat([piece[:count] for piece, count in zip(x, frames)])
    objective.network.local = lambda wavs: (packed, list(frames))
    objective.network.eval()  # without dropout; codes are drawn as in training
    return objective


def predictive(name):
    """APC, VQ-APC or NPC with the weights of S3PRL."""
    cls, objective = (Npc, NPC) if name == "npc" else (Apc, APC)
    objective = objective(cls(str(checkpoint(name)), freeze=False))
    theirs = read(checkpoint(name))["model"]
    for key in ("weight", "bias"):
        getattr(objective.head, key).data.copy_(theirs[f"postnet.{key}"])
    return objective


@pytest.fixture
def same_codes(monkeypatch):
    """Function that replaces our Gumbel noise by that of a fixture."""

    def replace(theirs):
        noise = [theirs[key] for key in theirs.files if key.startswith("noise")]
        if noise:
            packed = torch.from_numpy(np.concatenate(noise, -1)).flatten(0, 1)
            monkeypatch.setattr(reconstruction, "gumbel_noise", lambda *_: packed)

    return replace


@pytest.mark.parametrize("name", ["apc", "vq_apc", "npc"])
def test_predictive_losses_and_gradients(name, same_codes, tmp_path):
    theirs, objective = fixture(name), predictive(name)
    same_codes(theirs)
    on_features(objective, torch.from_numpy(theirs["x"]), SIZES[:2])
    outcome = objective([None] * 2, draws())
    loss = outcome.loss / outcome.count
    assert loss.item() == pytest.approx(theirs["equal"].item(), rel=1e-5)
    loss.backward()
    named = names(type(objective.network), name, tmp_path)
    named |= {f"head.{key}": f"postnet.{key}" for key in ("weight", "bias")}
    check_gradients(objective, named, theirs)


def test_batch_norms_of_npc_learn_from_true_frames(same_codes):
    theirs, objective = fixture("npc"), predictive("npc")
    same_codes(theirs)
    on_features(objective, torch.from_numpy(theirs["x"]), SIZES[:2]).train()
    for block in objective.network.network.blocks:
        block.dropout = 0.0
    outcome = objective([None] * 2, draws())
    loss = outcome.loss / outcome.count
    assert loss.item() == pytest.approx(theirs["trained"].item(), rel=1e-5)
    norm = objective.network.network.blocks[3].linear_norm
    for name in ("running_mean", "running_var"):
        expected = torch.from_numpy(theirs[name])
        torch.testing.assert_close(getattr(norm, name), expected)


def test_padding_in_the_loss_of_s3prl_is_the_difference():
    """S3PRL predicts the bias of its last layer where it counts padding."""
    theirs, objective = fixture("apc"), predictive("apc")
    on_features(objective, torch.from_numpy(theirs["x"]), SIZES)
    outcome = objective([None] * 3, draws())
    padding = (SIZES[0] - SIZES[2]) * objective.head.bias.abs().sum()
    elements = 3 * (SIZES[0] - 5) * 80
    with_padding = (outcome.loss + padding) / elements
    assert with_padding.item() == pytest.approx(theirs["unequal"].item(), rel=1e-5)
    mean = outcome.loss / outcome.count
    assert abs(mean.item() - theirs["unequal"].item()) > 0.05


@pytest.mark.parametrize("name", ["tera", "mockingjay_linear"])
def test_reconstruction_losses_and_gradients(name, tmp_path):
    theirs, linear = fixture(name), name == "mockingjay_linear"
    family = Mockingjay if linear else Tera
    network = family(str(checkpoint(name)), freeze=False)
    network.sequence_length = 0  # pre-training does not cut utterances
    target = StftFeatures("linear") if linear else None
    loss = "mse" if linear else "l1"
    objective = MaskedReconstruction(network, [], loss, target=target)
    head = read(checkpoint(name))["SpecHead"]
    ours = {"dense": "dense", "norm": "LayerNorm", "output": "output"}
    for part, their_part in ours.items():
        for key in ("weight", "bias"):
            weight = getattr(getattr(objective.head, part), key)
            weight.data.copy_(head[f"{their_part}.{key}"])
    frames = [45, 30]
    x, wanted, label = (torch.from_numpy(theirs[k]) for k in ("x", "target", "label"))
    on_features(objective, x, frames)
    labels = [piece[:count] for piece, count in zip(label, frames)]
    # S3PRL masked already: the alteration only says what is labelled.
    pieces = iter(labels)
    size = x.shape[-1]
    objective.alterations = [
        lambda x, _: (x, next(pieces).any(1, keepdim=True).expand(-1, size))
    ]
    targets = [piece[:count] for piece, count in zip(wanted, frames)]
    if linear:
        objective._target_frames = lambda i: targets[i]
        outcome = objective([0, 1], draws())
    else:
        _, mask, predicted, _, _ = objective._reconstructed([0, 1], draws())
        outcome = objective.outcome(predicted, torch.cat(targets), frames, mask)
    value = outcome.loss / outcome.count
    assert value.item() == pytest.approx(theirs["loss"].item(), rel=1e-5)
    value.backward()
    named = {
        ours_name: f"Transformer.{their_name}"
        for ours_name, their_name in names(family, name, tmp_path).items()
    }
    for part, their_part in ours.items():
        for key in ("weight", "bias"):
            named[f"head.{part}.{key}"] = f"SpecHead.{their_part}.{key}"
    check_gradients(objective, named, theirs)
