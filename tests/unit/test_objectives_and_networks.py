"""Every objective over every kind of network: all is trained, and any length goes."""

import itertools

import pytest
import torch

from s3prl_sb.lobes.pretext.alterations import TimeMask
from s3prl_sb.lobes.pretext.draws import Draws
from s3prl_sb.lobes.upstreams.acoustic_encoder import AcousticEncoder
from s3prl_sb.lobes.upstreams.apc import Apc
from s3prl_sb.lobes.upstreams.features import KaldiFeatures
from s3prl_sb.lobes.upstreams.hubert import Hubert
from s3prl_sb.lobes.upstreams.npc import Npc
from s3prl_sb.objectives.apc import APC
from s3prl_sb.objectives.best_rq import BestRq
from s3prl_sb.objectives.distillation import Distillation
from s3prl_sb.objectives.masked_prediction import HubertObjective
from s3prl_sb.objectives.masked_reconstruction import MaskedReconstruction
from s3prl_sb.objectives.npc import NPC
from s3prl_sb.objectives.wav2vec2 import Wav2Vec2Objective

#: Kaldi's features: the shortest utterance has one frame
ENCODER = {
    "features": {"kind": "kaldi_fbank"},
    "hidden_size": 32,
    "ffn_size": 32,
    "num_layers": 1,
    "num_heads": 4,
}
WAVEFORM = {**ENCODER, "conv_layers": [[16, 10, 5], [16, 40, 32]]}
WAVEFORM.pop("features")
QUANTIZED = {"hidden_size": 32, "codebook_size": [8, 8]}
NETWORKS = {
    "vq_apc": lambda: Apc(config=QUANTIZED, freeze=False),
    "npc": lambda: Npc(config=QUANTIZED, freeze=False),
    "transformer": lambda: AcousticEncoder(config=ENCODER, freeze=False),
    "conformer": lambda: AcousticEncoder(
        config={**ENCODER, "layer": "conformer"}, freeze=False
    ),
    "e_branchformer": lambda: AcousticEncoder(
        config={**ENCODER, "layer": "e_branchformer", "gate_size": 32}, freeze=False
    ),
    "waveform": lambda: Hubert(config=WAVEFORM, freeze=False),
}


def hubert(network):
    objective = HubertObjective(network, final_size=8)
    objective.prepare_codes(classes=4, stride=network.stride)
    return objective


def target(network):
    """Features to predict where the network learns its own."""
    is_waveform = isinstance(network, Hubert)
    return {"target": KaldiFeatures("fbank")} if is_waveform else {}


OBJECTIVES = {
    "reconstruction": lambda n: MaskedReconstruction(
        n, [TimeMask(0.5, 1)], **target(n)
    ),
    "apc": lambda n: APC(n, n_future=1),
    "npc": NPC,
    "hubert": hubert,
    "wav2vec2": lambda n: Wav2Vec2Objective(n, entries=8, num_negatives=5),
    "best_rq": lambda n: BestRq(n, entries=16, **target(n)),
    "distillation": lambda n: Distillation(
        n, Apc(config={"hidden_size": 8}), targets=[1], init_from_teacher=False
    ),
}
UNFIT = {("apc", name) for name in NETWORKS if name != "vq_apc"}
UNFIT |= {("npc", name) for name in NETWORKS if name != "npc"}
PAIRS = [pair for pair in itertools.product(OBJECTIVES, NETWORKS) if pair not in UNFIT]


@pytest.fixture(params=PAIRS, ids="-".join)
def objective(request):
    name, network = request.param
    return OBJECTIVES[name](NETWORKS[network]()).train()


def loss(objective, *samples):
    generator = torch.Generator().manual_seed(0)
    wavs = [0.1 * torch.randn(n, generator=generator) for n in samples]
    stride = objective.network.stride
    codes = [torch.arange(n // stride + 1) % 4 for n in samples]
    rows = range(len(samples))
    return objective(wavs, Draws(0, [1] * len(rows), rows), codes).loss


def test_everything_that_is_trained_has_a_gradient(objective):
    loss(objective, 8000, 5000).backward()
    without = [
        name
        for name, parameter in objective.named_parameters()
        if parameter.requires_grad and parameter.grad is None
    ]
    assert not without


def test_a_batch_of_one_frame(objective):
    """Nothing may be predicted, but a training goes on."""
    one = loss(objective, objective.network.min_samples)
    one.backward()
    assert torch.isfinite(one)
    for parameter in objective.parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all()


def test_a_frame_of_the_network_without_one_of_the_target():
    """HuBERT's first frame sees 25 ms, and two frames of Kaldi's features 35 ms."""
    config = {**WAVEFORM, "conv_layers": [[16, 10, 5], [16, 79, 64]]}
    network = Hubert(config=config, freeze=False)
    objective = MaskedReconstruction(network, [TimeMask(0.5, 1)], **target(network))
    assert network.min_samples == 400
    assert loss(objective.train(), 400) == 0
    assert loss(objective, 400, 8000) > 0
