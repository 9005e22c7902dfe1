"""The contract checker: broken candidates fail, and the words say why."""

import os
import pathlib

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from s3prl_sb.identity.opened import opened
from s3prl_sb.lobes.cards.check import ContractError, check_upstream
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.lobes.upstreams.base import AudioError, Upstream


class Sound(Upstream):
    """A candidate that keeps the contract, to be broken in one way each."""

    stride, num_layers, output_size = 160, 2, 8

    def __init__(self, freeze=True, precision="fp32"):
        super().__init__(freeze=freeze, precision=precision)
        self.projection = torch.nn.Linear(160, 8)

    def frames(self, samples):
        return max(samples, 160) // 160

    @property
    def min_samples(self):
        return 160

    def encode(self, wavs):
        frames = wavs.to(self.projection.weight.dtype).unfold(1, 160, 160)
        yield self.projection(frames)
        yield self.projection(frames).tanh()


class NoStride(Sound):
    stride = None


class FloatSize(Sound):
    output_size = 8.0


class TooFewLayers(Sound):
    num_layers = 3


class TooManyLayers(Sound):
    num_layers = 1


class WrongSize(Sound):
    output_size = 9


class OneFrameMore(Sound):
    def frames(self, samples):
        return super().frames(samples) + 1


class OneFrameLess(Sound):
    def frames(self, samples):
        return max(1, super().frames(samples) - 1)


class MixesEqualLengths(Sound):
    """As statistics over the batch do."""

    def encode(self, wavs):
        for state in super().encode(wavs):
            yield state + 0.1 * state.mean(0, keepdim=True)


class MixesPacked(Sound):
    packed = True

    def encode_packed(self, wavs):
        wavs = [wav[: len(wav) // 160 * 160] for wav in wavs]
        frames = torch.cat(wavs).unfold(0, 160, 160)
        states = self.projection(frames)
        yield states - states.mean(0)
        yield states


class SeesPadding(Sound):
    """Bypasses the base class."""

    def forward(self, wavs, wav_lens=None):
        samples = self._samples(wavs, wav_lens)
        frames = [self.frames(n) for n in samples]
        states = [s - s.mean(1, keepdim=True) for s in self.encode(wavs)]
        states = [s[:, : max(frames)].detach() for s in states]
        return states, torch.tensor(frames) / max(frames)


class KeepsState(Sound):
    calls = 0

    def encode(self, wavs):
        self.calls += 1
        for state in super().encode(wavs):
            yield state + self.calls


class TrainsWhenFrozen(Sound):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dropout = torch.nn.Dropout(0.5)

    def train(self, mode=True):
        return torch.nn.Module.train(self, mode)

    def encode(self, wavs):
        for state in super().encode(wavs):
            yield self.dropout(state)


class BuildsGraph(Sound):
    def encode(self, wavs):
        with torch.enable_grad():
            yield from [
                state.clone() for state in super().encode(wavs.requires_grad_())
            ]


class FailsOnSilence(Sound):
    def encode(self, wavs):
        return super().encode(wavs / wavs.abs().amax(1, keepdim=True))


class NotANumberWhenShort(Sound):
    def encode(self, wavs):
        for state in super().encode(wavs):
            centred = state - state.mean(1, keepdim=True)
            yield centred / centred.pow(2).mean(1, keepdim=True).sqrt()


class NoPadding(Sound):
    min_samples = 1


class AcceptsAnything(Sound):
    def _samples(self, wavs, wav_lens):
        lens = torch.ones(len(wavs)) if wav_lens is None else wav_lens
        return (lens * wavs.shape[1]).round().int().clamp_min(1).tolist()


class NamesNobody(Sound):
    def _samples(self, wavs, wav_lens):
        try:
            return super()._samples(wavs, wav_lens)
        except AudioError as error:
            raise ValueError("bad audio") from error


class Unused(Sound):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.forgotten = torch.nn.Linear(2, 2)


class Unfinished(Upstream):
    stride, num_layers, output_size = 160, 1, 8


BROKEN = {
    NoStride: r"stride is None; set it, a positive int",
    FloatSize: r"output_size is 8\.0; set it, a positive int",
    TooFewLayers: r"gives 2 hidden states where num_layers is 3",
    TooManyLayers: r"gives 2 hidden states where num_layers is 1",
    WrongSize: r"hidden state 0 has shape .*by frames\(\) and output_size",
    OneFrameMore: r"frames\(\)",
    OneFrameLess: r"frames\(\)",
    MixesEqualLengths: r"other features in a batch than alone.*must not mix utterances",
    MixesPacked: r"other features in a batch than alone.*must not mix utterances",
    SeesPadding: r"other features in a batch than alone",
    KeepsState: r"in a batch than alone.*state from one call to the next",
    TrainsWhenFrozen: r"a frozen one enters training mode; call super\(\)\.train\(\)",
    BuildsGraph: r"a frozen one builds a graph for gradients",
    FailsOnSilence: r"digital silence gives features that are not finite",
    NotANumberWhenShort: r"1 samples give features that are not finite",
    NoPadding: r"min_samples|lengths",
    AcceptsAnything: r"must raise AudioError with the index of the utterance",
    NamesNobody: r"AudioError|bad_audio",
    Unused: r"2 of 4 parameters get no gradient, forgotten\.weight for one",
    Unfinished: r"frames\(\)|NotImplementedError",
}


def test_a_sound_one_passes():
    for options in ({}, {"freeze": False}, {"precision": "bf16"}):
        upstream = Sound(**options)
        before = {name: value.clone() for name, value in upstream.state_dict().items()}
        lines = check_upstream(upstream)
        assert [line.split(":")[0] for line in lines[:5]] == [
            "attributes",
            "shapes and lengths",
            "same features in any company",
            "all lengths",
            "bad audio",
        ]
        # It is left as it was.
        assert upstream.training is not upstream.freeze
        assert all(p.grad is None for p in upstream.parameters())
        assert all(torch.equal(v, before[n]) for n, v in upstream.state_dict().items())
        gradients = "unfrozen: gradients reach 2 parameters" in lines
        assert gradients is (upstream.precision == "fp32")


@pytest.mark.parametrize("candidate", BROKEN, ids=lambda candidate: candidate.__name__)
def test_broken(candidate):
    with pytest.raises(ContractError) as caught:
        check_upstream(candidate())
    name, *violations = str(caught.value).splitlines()
    assert name.startswith(f"{candidate.__name__} does not keep the contract")
    assert violations and all(line.startswith("- ") for line in violations)
    caught.match(BROKEN[candidate])


def test_dropout_that_is_always_on():
    class Dropout(Sound):
        def encode(self, wavs):
            for state in super().encode(wavs):
                yield F.dropout(state)  # its default is training=True

    with pytest.raises(ContractError, match="alone|second call"):
        check_upstream(Dropout())


def test_all_violations_are_listed():
    class Two(Sound):
        stride, output_size = 0, None

    with pytest.raises(ContractError) as caught:
        check_upstream(Two())
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize("candidate", [torch.nn.Linear(2, 2), None, "hubert"])
def test_no_upstream_at_all(candidate):
    with pytest.raises(ContractError, match="derive it from .*base.Upstream"):
        check_upstream(candidate)


def test_other_sample_rates():
    class Telephone(Sound):
        sample_rate = 8000

    assert "at 8000 Hz" in check_upstream(Telephone())[0]


def test_it_moves_no_global_generator():
    upstream, before = load("mel"), torch.get_rng_state()
    check_upstream(upstream)
    assert torch.equal(torch.get_rng_state(), before)


# ------------------------------------------------------------ the base class
@pytest.mark.parametrize(
    "wavs, lens, message",
    [
        (torch.zeros(2, 800, dtype=torch.int16), None, "float tensor"),
        (torch.zeros(2, 1, 800), None, r"\[batch, samples\]"),
        (torch.zeros(800), torch.ones(1), r"\[batch, samples\]"),
        (
            torch.zeros(2, 800),
            torch.tensor([1.0, 1.5]),
            "utterance 1 .* has length 1200",
        ),
        (torch.zeros(2, 800), torch.tensor([0.0, 1.0]), "utterance 0 .* is empty"),
        (torch.zeros(2, 0), None, "utterance 0 .* is empty"),
        (torch.full((1, 800), torch.inf), None, "utterance 0 .*NaN or infinite"),
        (torch.zeros(2, 800), torch.ones(1), "wav_lens"),
        (torch.zeros(1, 800), torch.ones(2), "wav_lens"),
    ],
)
def test_bad_input(wavs, lens, message):
    with pytest.raises(ValueError, match=message):
        Sound()(wavs, lens)


@pytest.mark.parametrize("packed", [False, True])
def test_groups(packed):
    upstream = Sound()
    upstream.packed = packed
    second = upstream.sample_rate
    upstream.group_seconds = {"cpu": 3}
    samples = [second, 2 * second, second, second, 5 * second, second]
    groups = upstream._groups(samples)
    assert sorted(i for group in groups for i in group) == list(range(6))
    if packed:
        assert groups == [[0, 1], [2, 3], [4], [5]]
    else:
        assert groups == [[4], [1], [0, 2, 3], [5]]


@pytest.mark.parametrize("device, first", [("cpu", 1), ("cuda", 2), ("mps", 1)])
def test_groups_by_device(device, first):
    upstream = Sound()
    assert len(upstream._groups([40 * 16000] * 2, device)[0]) == first


def test_zeros_after_the_end_and_lens():
    states, lens = Sound()(torch.ones(3, 1600), torch.tensor([1.0, 0.35, 0.01]))
    assert (lens * 10).tolist() == [10, 3, 1]
    assert not states[0][1, 3:].any() and not states[0][2, 1:].any()


def test_extract_as_s3prl():
    wavs = [torch.ones(1600), np.full(480, 0.5), torch.ones(1, 100)]
    found = Sound().extract(wavs)
    assert [tuple(state.shape) for state in found["hidden_states"]] == [(3, 10, 8)] * 2
    assert found["last_hidden_state"] is found["hidden_states"][-1]
    assert (found["lens"] * 10).tolist() == [10, 3, 1]
    with pytest.raises(AudioError, match="utterance 1"):
        Sound().extract([torch.ones(10), torch.ones(0)])


# --------------------------------------------------------------------- opened files
class Bypass(Sound):
    """Reads a file of its own past the door, in one way or another."""

    def __init__(self, path, how="open", freeze=True, precision="fp32"):
        super().__init__(freeze=freeze, precision=precision)
        self.path, self.how = path, how
        if how != "forward":
            READERS[how](path)

    def encode(self, wavs):
        if self.how == "forward":
            open(self.path).close()
        return super().encode(wavs)


def _mapped(path):
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        file.keys()


def _loaded(path):
    import safetensors.torch

    safetensors.torch.load_file(path)


READERS = {
    "open": lambda path: open(path).close(),
    "low": lambda path: os.close(os.open(path, os.O_RDONLY)),
    "pathlib": lambda path: pathlib.Path(path).read_bytes(),
    "safe_open": _mapped,
    "load_file": _loaded,
    "torch": lambda path: torch.load(path, weights_only=True),
    "reader": lambda path: torch._C.PyTorchFileReader(path),
    "mapped": lambda path: torch.UntypedStorage.from_file(path, False, 8),
    "door": lambda path: open(opened(path)).close(),
}


@pytest.fixture
def some_file(tmp_path):
    from safetensors.torch import save_file

    def some_file(how):
        path = str(tmp_path / "weights.bin")
        if how in ("torch", "reader"):
            torch.save({"w": torch.ones(2)}, path)
        else:
            save_file({"w": torch.ones(2)}, path)
        return path

    return some_file


@pytest.mark.parametrize("how", [*READERS, "forward"])
def test_files_past_the_door(how, some_file):
    candidate = Bypass(some_file(how), how)
    if how == "door":
        assert "files: 1 opened, none unnoticed" in check_upstream(candidate)
        return
    with pytest.raises(ContractError, match="opens .*weights.bin past the door"):
        check_upstream(candidate)


class Forgetful(Sound):
    def __init__(self, *, needed, **options):
        super().__init__()


def test_what_cannot_be_built_again():
    candidate = Forgetful(needed=1)
    candidate.arguments = {}
    with pytest.raises(ContractError, match="cannot be built again .*'needed'"):
        check_upstream(candidate)
