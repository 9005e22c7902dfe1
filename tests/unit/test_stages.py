"""Steps of an encoding: broken candidates fail, and what pre-training trains."""

import pytest
import torch

from s3prl_sb.lobes.cards.check import ContractError, check_upstream
from s3prl_sb.lobes.upstreams.acoustic_encoder import AcousticEncoder
from s3prl_sb.lobes.upstreams.apc import Apc
from s3prl_sb.lobes.upstreams.distilhubert import DistilHubert
from s3prl_sb.lobes.upstreams.mockingjay import Mockingjay
from s3prl_sb.lobes.upstreams.npc import Npc
from s3prl_sb.lobes.upstreams.stages import FrozenNetworkError
from s3prl_sb.lobes.upstreams.wav2vec2 import Wav2Vec2

TINY = {
    "hidden_size": 32,
    "ffn_size": 48,
    "num_layers": 2,
    "num_heads": 4,
    "conv_layers": [[16, 10, 5], [16, 8, 64]],
    "position_kernel": 16,
    "position_groups": 4,
}
NPC = {"n_blocks": 2, "hidden_size": 16}
CONFORMER = {
    "hidden_size": 32,
    "ffn_size": 48,
    "num_layers": 2,
    "num_heads": 4,
    "layer": "conformer",
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "input_dropout": 0.0,
}


class Sound(Apc):
    """A candidate that keeps the contract, to be broken in one way each."""

    def __init__(self, source=None, config=None, **options):
        super().__init__(source, config or {"hidden_size": 16}, **options)


class CountsWrongly(Sound):
    def local(self, wavs):
        x, frames = super().local(wavs)
        return x[:-1], [*frames[:-1], frames[-1] - 1]


class WrongLocalSize(Sound):
    local_size = 81


class NormsAnotherShape(Sound):
    def normed(self, x):
        return x[:, :4]


class WrongEmbeddedSize(Sound):
    embedded_size = 12


class StopsEarly(Sound):
    def contextualize(self, x, frames):
        return list(super().contextualize(x, frames))[:2]

    def encode_packed(self, wavs):
        x, frames = self.local(wavs)
        return super().contextualize(x, frames)


class ComputesAnother(StopsEarly):
    def contextualize(self, x, frames):
        return [2 * state for state in Apc.contextualize(self, x, frames)]


class MixesUtterances(StopsEarly):
    """Its frames see those of the whole batch, if they are not as usual."""

    def contextualize(self, x, frames):
        self.usual = getattr(self, "usual", x.sum())
        for state in Apc.contextualize(self, x, frames):
            yield state + (x.sum() - self.usual)


class HasNoPath(Sound):
    """A weight on which no hidden state depends."""

    def make_network(self):
        network = super().make_network()
        network.unused = torch.nn.Linear(2, 2)
        return network

    def _forget(self):
        self.network.unused.requires_grad_(False)

    def __init__(self, source=None, config=None, **options):
        super().__init__(source, config, **options)
        self._forget()


class SwitchesOff(HasNoPath):
    def begin_pretraining(self):
        super().begin_pretraining()
        self._forget()


@pytest.mark.parametrize("candidate", [Sound, SwitchesOff])
def test_a_sound_one_passes(candidate):
    expected = "stages: local frames of 80, embedded 80, the same hidden states"
    assert expected in check_upstream(candidate())


@pytest.mark.parametrize(
    "candidate, words",
    [
        (CountsWrongly, "frames() says"),
        (WrongLocalSize, "local_size"),
        (NormsAnotherShape, "keep the shape"),
        (WrongEmbeddedSize, "embedded_size"),
        (StopsEarly, "num_layers is 3"),
        (ComputesAnother, "than forward()"),
        (MixesUtterances, "must not mix utterances"),
        (HasNoPath, "no gradient from the last hidden state, network.unused"),
    ],
)
def test_a_broken_one_fails_in_words(candidate, words):
    with pytest.raises(ContractError) as caught:
        check_upstream(candidate())
    assert words in str(caught.value)


def test_a_family_without_steps_is_not_asked_for_them():
    from s3prl_sb.lobes.upstreams import load

    assert not [line for line in check_upstream(load("mel")) if "stages" in line]


# ------------------------------------------------------------- begin_pretraining
def test_the_convolutions_are_trained():
    upstream = Wav2Vec2(config=TINY, freeze=False)
    assert not any(p.requires_grad for p in upstream.network.front_end.parameters())
    upstream.begin_pretraining()
    assert all(p.requires_grad for p in upstream.parameters())


@pytest.mark.parametrize(
    "upstream, without",
    [
        (
            Wav2Vec2(
                config={**TINY, "norm_first": True},
                feature_selection="fairseq_layers",
                freeze=False,
            ),
            "network.encoder.norm.",
        ),
        (
            Mockingjay(
                config={
                    "transformer": {
                        "hidden_size": 32,
                        "num_hidden_layers": 2,
                        "num_attention_heads": 4,
                        "intermediate_size": 48,
                        "pre_layer_norm": True,
                    }
                },
                freeze=False,
            ),
            ("network.state_norms.0.", "network.state_norms.1."),
        ),
        (DistilHubert(config={**TINY, "norm_first": True}, freeze=False), ()),
    ],
    ids=["outputs", "pre-norm", "heads"],
)
def test_what_nothing_depends_on_is_not_trained(upstream, without):
    upstream.begin_pretraining()
    off = {n for n, p in upstream.named_parameters() if not p.requires_grad}
    names = {n for n, _ in upstream.named_parameters()}
    assert off == {n for n in names if n.startswith(without)} if without else not off


def test_a_frozen_one_is_refused():
    with pytest.raises(FrozenNetworkError, match="freeze: False"):
        Wav2Vec2(config=TINY).begin_pretraining()


@pytest.mark.parametrize(
    "make",
    [
        lambda **options: Npc(config=NPC, **options),
        lambda **options: AcousticEncoder(config=CONFORMER, **options),
    ],
    ids=["npc", "conformer"],
)
def test_batch_norms_learn_in_pretraining_alone(make):
    """From all true frames of a batch; loaded again, they are fixed."""
    upstream = make(freeze=False)
    upstream.begin_pretraining()
    wavs = [torch.randn(9000), torch.randn(5000)]
    before = {k: v.clone() for k, v in upstream.state_dict().items()}
    for _ in range(3):
        list(upstream.encode_packed(wavs))
    learned = upstream.state_dict()
    means = [key for key in learned if key.endswith("running_mean")]
    assert means
    assert all(not torch.equal(before[key], learned[key]) for key in means)
    upstream.eval()
    list(upstream.encode_packed(wavs))
    assert all(torch.equal(learned[k], v) for k, v in upstream.state_dict().items())

    again = make(freeze=False)
    again.load_state_dict(learned)
    again.train()
    list(again.encode_packed(wavs))
    assert all(torch.equal(learned[k], v) for k, v in again.state_dict().items())


def test_the_statistics_are_those_of_the_packed_frames():
    upstream = Npc(config=NPC, freeze=False)
    upstream.begin_pretraining()
    seen = []
    norm = upstream.network.blocks[0].linear_norm
    norm.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    wavs = [torch.randn(9000), torch.randn(5000)]
    list(upstream.encode_packed(wavs))
    assert len(seen[0]) == sum(upstream.frames(len(wav)) for wav in wavs)
    assert torch.allclose(norm.running_mean, 0.1 * seen[0].mean(0), atol=1e-6)
