"""Networks of voice conversion against S3PRL's own (see make_conversion.py)."""

import re
from types import SimpleNamespace

import pytest
import torch
from peer_values import HERE, error
from safetensors.torch import load_file

from s3prl_sb.brains.conversion import masked_l1
from s3prl_sb.lobes.heads.spectrogram import SpectrogramPredictor

VALUES = load_file(HERE / "conversion.safetensors")
LINEAR = {"encoder": "linear", "prenet_layers": 0, "ratio": 0.9375}
NETWORKS = {
    "taco2_ar": {"ratio": 1.875},
    "simple_ar": {**LINEAR, "layer_norm": True},
    "simple": {**LINEAR, "autoregressive": False},
    "any_to_any": {"ratio": 1.875, "speaker_size": 3},
}
#: Patterns of S3PRL's names of weights, and what they are here.
NAMES = {
    r"^target_mean": "mean",
    r"^target_scale": "deviation",
    r"^encoder\.(0|input_layer)\.": "encoder.linear.",
    r"\.convs\.(\d)\.0\.": r".convolutions.\1.",
    r"\.convs\.(\d)\.1\.": r".norms.\1.",
    r"^prenet\.prenet\.(\d)\.0\.": r"prenet.layers.\1.",
    r"^spk_emb_projection": "speaker",
    r"^lstmps": "decoder",
    r"\.layer\.": ".cell.",
    r"\.ln\.": ".norm.",
    r"\.pj\.": ".projection.",
    r"^proj\.": "output.",
}


def group(network, kind):
    """Returns the tensors of a kind by our names."""
    prefix, tensors = f"{network}/{kind}/", {}
    for key, value in VALUES.items():
        if key.startswith(prefix):
            name = key.removeprefix(prefix)
            for pattern, ours in NAMES.items():
                name = re.sub(pattern, ours, name)
            tensors[name] = value
    return tensors


@pytest.fixture(params=NETWORKS)
def case(request):
    """Our network with S3PRL's weights, and the tensors of the fixture."""
    options = {"num_mels": 5, "hidden_size": 8, "channels": 4, "prenet_size": 7}
    options |= {"dropout": 0.0, "recurrent_dropout": 0.0, **NETWORKS[request.param]}
    network = SpectrogramPredictor(6, **options)
    network.load_state_dict(group(request.param, "weight"))
    keys = ("features", "targets", "predicted", "loss", "free", "speakers")
    tensors = {key: VALUES.get(f"{request.param}/{key}") for key in keys}
    return request.param, network, SimpleNamespace(**tensors)


def test_teacher_forcing_is_s3prls(case):
    """Spectrograms, loss, gradients, and the running statistics of batch norms."""
    name, network, values = case
    given = values.features, torch.ones(2)
    mels = network(*given, values.targets, values.speakers)
    frames = network.frames(*given)
    assert error(mels, values.predicted) < 1e-5
    lens = torch.full((2,), values.targets.shape[1])
    loss, count = masked_l1(network, mels, frames, values.targets, lens)
    assert error(loss, values.loss) < 1e-5 and count == frames.sum()
    loss.backward()
    for key, gradient in group(name, "gradient").items():
        found = network.get_parameter(key).grad
        assert torch.allclose(found, gradient, rtol=1e-4, atol=1e-6), key
    state = network.state_dict()
    for key, expected in group(name, "after").items():
        assert torch.allclose(state[key], expected, rtol=1e-5, atol=1e-6), key


def test_own_predictions_are_s3prls(case):
    """Frame by frame, in evaluation; the running statistics are those of training."""
    name, network, values = case
    network.load_state_dict(group(name, "after"), strict=False)
    network.eval()
    speakers = None if values.speakers is None else values.speakers[:1]
    with torch.no_grad():
        mels = network(values.features[:1], torch.ones(1), None, speakers)
    assert error(mels, values.free) < 1e-5
