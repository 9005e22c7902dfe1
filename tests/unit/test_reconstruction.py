"""Objectives that predict acoustic features, on several networks."""

import numpy
import pytest
import torch
import torch.nn.functional as F

from s3prl_sb.errors import UserError
from s3prl_sb.lobes.networks.quantizer import Quantizer
from s3prl_sb.lobes.pretext.alterations import FrequencyMask, MagnitudeNoise, TimeMask
from s3prl_sb.lobes.pretext.draws import Draws
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.lobes.upstreams.acoustic_encoder import AcousticEncoder
from s3prl_sb.lobes.upstreams.apc import Apc
from s3prl_sb.lobes.upstreams.features import KaldiFeatures, StftFeatures
from s3prl_sb.lobes.upstreams.mockingjay import AudioAlbert, Mockingjay, Tera
from s3prl_sb.lobes.upstreams.npc import Npc
from s3prl_sb.objectives.apc import APC
from s3prl_sb.objectives.masked_reconstruction import MaskedReconstruction
from s3prl_sb.objectives.npc import NPC

TRANSFORMER = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64}
SAMPLES = (8000, 5000, 6500)


def wavs(samples=SAMPLES):
    """Noise whose loudness beats, which can be predicted."""
    generator = torch.Generator().manual_seed(1)
    result = []
    for i, count in enumerate(samples):
        beat = torch.sin(2 * torch.pi * (4 * torch.arange(count) / 16000 + i / 3))
        noise = torch.randn(count, generator=generator)
        result.append(0.1 * (1.02 + beat) * noise)
    return result


def draws(rows=range(3), epoch=1):
    return Draws(0, [epoch] * len(rows), rows)


def tera(cls=Tera, **options):
    options = {"alterations": [TimeMask(), FrequencyMask(), MagnitudeNoise()]} | options
    config = {"transformer": TRANSFORMER}
    return MaskedReconstruction(cls(config=config, freeze=False), **options)


def acoustic(**config):
    """A network of other layers over stacked features."""
    sizes = {"hidden_size": 32, "ffn_size": 64, "num_layers": 2, "num_heads": 4}
    return AcousticEncoder(config={**sizes, "stack": 2, **config}, freeze=False)


def conformer():
    """TERA's objective on a conformer."""
    network = acoustic(layer="conformer")
    return MaskedReconstruction(network, [TimeMask(length=3), FrequencyMask()])


def waveform():
    """TERA's objective on a network over the waveform."""
    network = load("hubert_small_random", freeze=False)
    return MaskedReconstruction(network, [TimeMask(length=4)], target=StftFeatures())


def apc(**config):
    return APC(Apc(config={"hidden_size": 24, **config}, freeze=False))


def npc(**config):
    return NPC(Npc(config={"hidden_size": 32, **config}, freeze=False))


OBJECTIVES = {
    "tera": tera,
    "mockingjay": lambda: tera(Mockingjay, loss="mse", target=StftFeatures("linear")),
    "audio_albert": lambda: tera(AudioAlbert, alterations=[TimeMask()]),
    "conformer": conformer,
    "waveform": waveform,
    "causal_transformer": lambda: APC(acoustic(causal=True), n_future=3),
    "apc": apc,
    "vq_apc": lambda: apc(codebook_size=[16]),
    "npc": npc,
    "npc_bottleneck": lambda: npc(codebook_size=None, dim_bottleneck=8),
}


@pytest.fixture(params=OBJECTIVES)
def objective(request):
    return OBJECTIVES[request.param]()


def quiet(objective):
    """The objective without dropout, but with the noise of training."""
    objective.network.eval()
    return objective


def sums_of(*outcomes):
    """Sums over batches, as the Brain adds them."""
    sums = {}
    for outcome in outcomes:
        entries = {"loss": outcome.loss.detach(), "count": outcome.count}
        for name, value in {**entries, **outcome.sums}.items():
            sums[name] = sums.get(name, 0) + value
    return sums


# ---------------------------------------------------------------------- batches
def test_an_utterance_does_not_depend_on_its_batch(objective):
    quiet(objective)
    together = objective(wavs(), draws())
    alone = [objective([wav], draws([i])) for i, wav in enumerate(wavs())]
    assert together.loss.item() == pytest.approx(
        sum(outcome.loss.item() for outcome in alone), rel=1e-5
    )
    ours, theirs = sums_of(together), sums_of(*alone)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-5, atol=1e-6)


def test_everything_is_trained(objective):
    outcome = objective(wavs(), draws())
    (outcome.loss / outcome.count).backward()
    for name, parameter in objective.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


def test_draws_decide(objective):
    quiet(objective)
    first, again = objective(wavs(), draws()), objective(wavs(), draws())
    assert torch.equal(first.loss, again.loss)
    if objective.network.quantizer is not None or hasattr(objective, "alterations"):
        assert not torch.equal(first.loss, objective(wavs(), draws(epoch=2)).loss)
    objective.eval()
    state = torch.get_rng_state()
    objective(wavs(), draws())
    assert torch.equal(state, torch.get_rng_state())


def test_measures_and_picture(objective):
    outcomes = [objective(wavs(), draws()), objective(wavs(), draws([3, 4, 5]))]
    measures = objective.measures(sums_of(*outcomes))
    assert 0.05 < measures["chance"] < 2.5 and measures["loss"] > 0
    assert all(isinstance(value, float) for value in measures.values())
    assert objective.alarms(measures) == []
    picture = objective.eval().picture(wavs()[0], draws([0]))
    assert picture.target.shape == picture.predicted.shape == picture.altered.shape
    assert not picture.predicted.requires_grad


# ------------------------------------------------------------------ the measures
def test_chance_is_the_mean_of_the_utterance():
    objective = quiet(tera())
    altered, label, predicted, target, frames = objective._reconstructed(
        wavs(), draws()
    )
    measures = objective.measures(sums_of(objective(wavs(), draws())))
    parts = [part.split(frames) for part in (label, predicted, target)]
    guess, error = [], []
    for mask, ours, true in zip(*parts):
        true, mask = true.numpy(), mask.numpy()
        guess += list(numpy.abs(true - true.mean(0))[mask])
        error += list(numpy.abs(true - ours.detach().numpy())[mask])
    assert measures["chance"] == pytest.approx(numpy.mean(guess), rel=1e-5)
    assert measures["loss"] == pytest.approx(numpy.mean(error), rel=1e-5)
    assert measures["altered"] == pytest.approx(label.float().mean().item())
    everything = (predicted - target).abs().mean().item()
    assert measures["loss_all"] == pytest.approx(everything, rel=1e-5)


def test_copied_frame_of_apc():
    objective = quiet(apc())
    x, frames = objective.network.local(wavs())
    pieces = [(p[5:] - p[:-5]).abs().flatten() for p in x.split(frames)]
    measures = objective.measures(sums_of(objective(wavs(), draws())))
    assert measures["copied"] == pytest.approx(torch.cat(pieces).mean().item())


def test_perplexity_of_codes():
    objective = npc()
    measures = objective.measures(sums_of(objective(wavs(), draws())))
    assert 20 < measures["code_perplexity"] <= 64
    network = objective.network.network
    for layer in network.quantizer.logits:
        torch.nn.init.zeros_(layer.weight)
        layer.bias.data[3] = 100
    measures = objective.measures(sums_of(objective(wavs(), draws())))
    assert measures["code_perplexity"] == pytest.approx(1)
    assert "single code" in objective.alarms(measures)[0]


def test_nothing_altered_is_an_alarm():
    objective = tera(alterations=[TimeMask()])
    outcome = objective(wavs((1600,)), draws([0]))
    assert outcome.loss == 0 and outcome.count == 0
    assert (
        "No frame is altered"
        in objective.alarms(objective.measures(sums_of(outcome)))[0]
    )


# ------------------------------------------------------------------- utterances
def test_too_short_for_apc():
    objective = quiet(apc(codebook_size=[16]))
    short = wavs((400, 1200))  # 1 and 6 frames
    assert objective(short, draws([7, 8])).count == 80
    both = objective([wavs()[0], short[0]], draws([0, 7]))
    alone = objective([wavs()[0]], draws([0]))
    assert torch.equal(both.loss, alone.loss) and both.count == alone.count
    nothing = objective(short[:1], draws([7]))
    assert nothing.loss == 0 and nothing.count == 0
    assert nothing.sums.keys() == alone.sums.keys()
    nothing.loss.backward()
    assert all((p.grad == 0).all() for p in objective.parameters())


def test_frames_of_a_target_are_stacked_to_the_stride():
    network = load("hubert_small_random", freeze=False)
    target = KaldiFeatures("fbank", num_mel_bins=40, deltas=0)
    objective = MaskedReconstruction(network, [TimeMask(length=4)], target=target)
    assert objective.stack == 2 and objective.head.output.out_features == 80
    wav = wavs()[0]
    features = target.encode(wav[None])[0][0]  # 48 frames; the network has 24
    _, _, predicted, true, frames = objective._reconstructed([wav], draws([0]))
    assert frames == [24] and predicted.shape == true.shape == (24, 80)
    assert torch.equal(true[5], torch.cat([features[10], features[11]]))
    *_, frames = objective._reconstructed([wav[: 400 + 320 * 9]], draws([0]))
    assert frames == [9]  # ten frames of the network, nineteen of the target


# ---------------------------------------------------------------------- networks
@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: APC(tera().network), "sees them.*causal: True"),
        (lambda: APC(npc().network), "later frames"),
        (lambda: APC(acoustic()), "AcousticEncoder sees them"),
        (lambda: APC(waveform().network), "learns its frames from the waveform"),
        (lambda: NPC(apc().network), "sees the frame itself"),
        (lambda: NPC(tera().network), "upstreams.npc.Npc"),
        (
            lambda: MaskedReconstruction(waveform().network, [TimeMask()]),
            "Set target: to acoustic features",
        ),
        (
            lambda: MaskedReconstruction(
                waveform().network, [TimeMask()], target=StftFeatures(hop_ms=12)
            ),
            "no multiple of the 192 samples",
        ),
    ],
)
def test_unfit_networks(build, message):
    with pytest.raises(UserError, match=message):
        build()


def test_the_test_of_the_network_keeps_its_mode():
    assert apc().network.training and apc().training


def test_reconstruction_of_a_causal_network():
    """Any objective runs on any network that it fits."""
    objective = MaskedReconstruction(apc(codebook_size=[8]).network, [TimeMask()])
    outcome = objective(wavs(), draws())
    outcome.loss.backward()
    trained = [p for p in objective.parameters() if p.requires_grad]
    assert all(p.grad is not None for p in trained)


def test_wrong_options():
    with pytest.raises(ValueError, match="loss must be one of l1, mse, not 'L3'"):
        tera(loss="L3")
    with pytest.raises(ValueError, match="temperature is a number above 0"):
        APC(apc().network, temperature=0)
    with pytest.raises(ValueError, match="n_future is a whole number from 1 on"):
        APC(apc().network, n_future=0)


# --------------------------------------------------------------------- quantizer
def test_quantizer_is_the_hard_gumbel_softmax_of_torch():
    quantizer = Quantizer([7, 5], size=12)
    x = torch.randn(30, 12, requires_grad=True)
    torch.manual_seed(3)
    vectors = [
        F.gumbel_softmax(logits(part), tau=0.5, hard=True) @ codebook.weight
        for logits, codebook, part in zip(
            quantizer.logits, quantizer.codebooks, x.split(6, -1)
        )
    ]
    theirs = torch.cat(vectors, -1)
    weight = torch.randn_like(theirs)
    parameters = [x, *quantizer.parameters()]
    expected = torch.autograd.grad((theirs * weight).sum(), parameters)
    torch.manual_seed(3)
    noise = [-torch.empty(30, size).exponential_().log() for size in (7, 5)]
    ours, codes = quantizer.quantized(x, torch.cat(noise, -1), temperature=0.5)
    torch.testing.assert_close(ours, theirs)
    found = torch.autograd.grad((ours * weight).sum(), parameters)
    for a, b in zip(found, expected):
        torch.testing.assert_close(a, b)
    rows = torch.cat([quantizer.codebooks[i](codes[:, i]) for i in (0, 1)], -1)
    torch.testing.assert_close(ours, rows)


# ---------------------------------------------------------------------- learning
@pytest.mark.parametrize("name, rate", [("tera", 3e-3), ("apc", 1e-2), ("npc", 3e-3)])
def test_loss_falls_below_chance(name, rate):
    torch.manual_seed(0)
    objective = OBJECTIVES[name]()
    optimizer = torch.optim.Adam(objective.parameters(), rate)
    for epoch in range(30):
        outcome = objective(wavs(), draws(epoch=epoch))
        optimizer.zero_grad()
        (outcome.loss / outcome.count).backward()
        optimizer.step()
    with torch.no_grad():
        held_out = objective.eval()(wavs((7000, 6000)), draws([5, 6]))
    measures = objective.measures(sums_of(held_out))
    assert measures["loss"] < 0.95 * measures["chance"]
