"""Probes of frames against S3PRL's own (see make_probes.py), padded and not."""

import pytest
import torch
from peer_values import HERE, error
from safetensors.torch import load_file
from torch.nn.utils.rnn import pad_sequence

from s3prl_sb.lobes.heads.composed import FrameHead
from s3prl_sb.lobes.heads.frames import FrameClassifier
from s3prl_sb.lobes.time_alignment import align

SIZE, CLASSES, LIMIT = 6, 5, 2e-6
VALUES = load_file(HERE / "probes.safetensors")
FEATURES = [VALUES[f"feature/{i}"] for i in range(3)]
FRAMES = torch.tensor([len(x) for x in FEATURES])
BANK = {"cnn_size": 4, "hidden_size": 8, "dropout": 0.0}


def composed(encoder, **options):
    return FrameHead(SIZE, CLASSES, encoder=encoder, **options)


PROBES = {
    "phone_linear": FrameClassifier(SIZE, CLASSES, hidden_size=None),
    "phone_1hidden": composed("mlp", hidden_size=8, num_layers=1),
    "phone_linear_concat": composed("concat", window=9),
    "timit_phone": composed("conv_bank", **BANK),
}
#: Beginnings of S3PRL's names of weights to ours.
NAMES = {
    "linear": "classifier",
    "out_linear": "classifier",
    "in_linear": {
        "phone_1hidden": "encoder.layers.0",
        "timit_phone": "encoder.bank.enter",
    },
    "cnns": "encoder.bank.convolutions",
}


def pairs(probe):
    """Yields S3PRL's names of the weights of a probe, and ours."""
    for key in VALUES:
        if key.startswith(f"{probe}/weight/"):
            theirs = key.rpartition("/")[2]
            first, _, rest = theirs.partition(".")
            ours = NAMES[first]
            ours = ours if isinstance(ours, str) else ours[probe]
            yield theirs, f"{ours}.{rest}"


def ordered(probe, name, weight):
    """Returns a weight of S3PRL's for frames in the order of time."""
    if probe == "phone_linear_concat" and name.endswith("weight"):
        return weight.unflatten(1, (9, SIZE)).flip(1).flatten(1)
    return weight


@pytest.mark.parametrize("probe", PROBES)
def test_probe_is_s3prls(probe):
    """Values, and gradients of weights and features."""
    head = PROBES[probe]
    names = list(pairs(probe))
    head.load_state_dict(
        {n: ordered(probe, n, VALUES[f"{probe}/weight/{t}"]) for t, n in names}
    )
    features = pad_sequence(FEATURES, batch_first=True, padding_value=7.0)
    features.requires_grad_()
    padded = head(features, FRAMES / FRAMES.max())
    output = torch.cat([row[:frames] for row, frames in zip(padded, FRAMES)])
    assert error(output, VALUES[f"{probe}/output"]) < LIMIT
    output.square().mean().backward()
    for theirs, name in names:
        expected = ordered(probe, name, VALUES[f"{probe}/gradient/{theirs}"])
        assert error(head.get_parameter(name).grad, expected) < LIMIT
    for i, row in enumerate(features.grad):
        expected = VALUES[f"{probe}/gradient/feature/{i}"]
        assert error(row[: FRAMES[i]], expected) < LIMIT
        assert not row[FRAMES[i] :].any()


@pytest.mark.parametrize("key", [key for key in VALUES if key.startswith("match/")])
def test_alignment_is_s3prls(key):
    """Features every 20, 10 and 40 ms, labels every 10 ms, of unequal lengths."""
    _, number, labels = key.split("/")
    features = FEATURES[int(number)]
    stride = 0.01 * round(int(labels) / len(features))
    made = align(
        features[None], torch.ones(1), stride, 0.01, torch.tensor([int(labels)])
    )
    assert torch.equal(made[0], VALUES[key])
