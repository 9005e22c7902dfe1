"""Objective of BEST-RQ: targets, altered input, batches and alarms."""

import math

import numpy
import pytest
import torch
import torch.nn.functional as F

from s3prl_sb.lobes.pretext.draws import Draws
from s3prl_sb.lobes.pretext.spans import BernoulliSpanMask
from s3prl_sb.lobes.upstreams.features import KaldiFeatures
from s3prl_sb.lobes.upstreams.mockingjay import Mockingjay
from s3prl_sb.lobes.upstreams.wav2vec2 import Wav2Vec2
from s3prl_sb.objectives.best_rq import BestRq
from s3prl_sb.objectives.receptive_field import UnfitNetwork

TINY = {
    "transformer": {
        "hidden_size": 32,
        "num_attention_heads": 4,
        "num_hidden_layers": 1,
        "intermediate_size": 48,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
}
WAVEFORM = {
    "hidden_size": 32,
    "ffn_size": 48,
    "num_layers": 1,
    "num_heads": 4,
    "conv_layers": [[16, 10, 5], [16, 40, 64]],  # 320 samples a frame
    **dict.fromkeys(["dropout", "attention_dropout", "input_dropout"], 0.0),
}
SAMPLES = (16000, 9000, 12345)
CODES = 64


def over_features(**options):
    network = Mockingjay(config=TINY, freeze=False)
    return BestRq(network, **{"entries": CODES, **options})


def over_waveforms():
    network = Wav2Vec2(config=WAVEFORM, freeze=False)
    target = KaldiFeatures("fbank", deltas=0, num_mel_bins=20)
    return BestRq(network, target=target, entries=CODES)


def batch(rows=(0, 1, 2), epoch=1):
    wavs = []
    for row in rows:
        random = torch.Generator().manual_seed(row)
        wavs.append(torch.randn(SAMPLES[row], generator=random))
    return wavs, Draws(0, [epoch] * len(rows), rows)


def measured(module, outcome):
    sums = {"loss": outcome.loss.detach(), "count": outcome.count, **outcome.sums}
    return module.measures(sums)


def watched(module, name):
    """The inputs of a method of the network, from now on."""
    method, inputs = getattr(module.network, name), []
    setattr(module.network, name, lambda *args: inputs.append(args) or method(*args))
    return inputs


@pytest.mark.parametrize("make", [over_features, over_waveforms])
def test_an_utterance_is_the_same_alone_and_with_others(make):
    module = make()
    together, alone = module(*batch()), [module(*batch([row])) for row in range(3)]
    torch.testing.assert_close(together.loss, sum(outcome.loss for outcome in alone))
    assert together.count == sum(outcome.count for outcome in alone)
    for name, value in together.sums.items():
        assert torch.equal(value, sum(outcome.sums[name] for outcome in alone)), name


def test_input_is_noise_where_codes_are_predicted():
    module = over_features(mask=BernoulliSpanMask(0.03, 10))
    wavs, draws = batch()
    local, frames = module.network.local(wavs)
    inputs = watched(module, "embed")
    outcome = module(wavs, draws)
    masks = [module.mask(n, draws.of(i, "mask")) for i, n in enumerate(frames)]
    masked = torch.from_numpy(numpy.concatenate(masks))
    ((x,),) = inputs
    assert torch.equal((x != local).all(1), masked) and outcome.count == masked.sum()
    # The features of the network are normalized, so that the noise is the paper's.
    assert x[masked].std().item() == pytest.approx(0.1, rel=0.1)
    assert x[masked].mean().item() == pytest.approx(0, abs=0.01)


def test_targets_are_codes_of_normalized_features_by_brute_force():
    module = over_features()
    wavs, draws = batch()
    local, frames = module.network.local(wavs)
    expected = []
    for i, x in enumerate(local.double().split(frames)):
        x = (x - x.mean(0)) / x.std(0, correction=0)
        x = F.normalize(x @ module.quantizer.projection.double())
        gaps = torch.cdist(x, module.quantizer.codebook.double())
        mask = module.mask(len(x), draws.of(i, "mask"))
        expected.append(gaps.argmin(1)[torch.from_numpy(mask)])
    inputs = watched(module, "contextualize")
    outcome = module(wavs, draws)
    expected = torch.cat(expected)
    assert torch.equal(outcome.sums["codes"], expected.bincount(minlength=CODES))
    masks = [module.mask(n, draws.of(i, "mask")) for i, n in enumerate(frames)]
    *_, last = module.network.contextualize(*inputs[0])
    logits = module.head(last[torch.from_numpy(numpy.concatenate(masks))])
    loss = F.cross_entropy(logits, expected, reduction="sum")
    torch.testing.assert_close(outcome.loss, loss)
    assert outcome.sums["correct"] == (logits.argmax(1) == expected).sum()


def test_codes_and_noise_do_not_depend_on_the_scale_of_the_features():
    """A network whose features are not normalized has the codes of one's whose are."""
    audio = {"input": {"cmvn": False}}
    raw = Mockingjay(config={**TINY, "audio": audio}, freeze=False)
    outcomes, spreads = [], []
    for module in (over_features(), BestRq(raw, entries=CODES)):
        wavs, draws = batch([0])
        local, _ = module.network.local(wavs)
        inputs = watched(module, "embed")
        outcomes.append(module(wavs, draws))
        masked = (inputs[0][0] != local).all(1)
        spreads.append(inputs[0][0][masked].std(0) / local.std(0))
    assert torch.equal(outcomes[0].sums["codes"], outcomes[1].sums["codes"])
    assert (outcomes[0].sums["codes"] > 0).sum() > 8
    torch.testing.assert_close(*spreads, rtol=0, atol=0.03)


def test_a_network_over_the_waveform_predicts_codes_of_stacked_features():
    module = over_waveforms()
    assert module.quantizer.projection.shape == (2 * 20, 16)
    for samples in (8000, 8001, 8160, 8319):
        wav = torch.randn(samples)
        frames = module.network.frames(samples)
        stacked = module._stacked(wav, frames)
        (features,), _ = module.target(wav[None])
        assert stacked.shape == (frames, 40)
        whole = min(len(features[0]) // 2, frames)
        assert torch.equal(
            stacked[:whole].flatten(), features[0, : 2 * whole].flatten()
        )
    inputs = watched(module, "contextualize")
    outcome = module(*batch())
    masked = (inputs[0][0] == module.mask_vector).all(1)
    assert masked.sum() == outcome.count > 0


@pytest.mark.parametrize("make", [over_features, over_waveforms])
def test_gradient_reaches_everything_even_without_a_mask(make):
    for probability in (0.04, 0.0):
        module = make()
        module.mask = BernoulliSpanMask(probability, 10)
        outcome = module(*batch())
        outcome.loss.backward()
        assert (outcome.count > 0) == (probability > 0)
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    assert "No frame is masked" in module.alarms(measured(module, outcome))[0]


def test_measures_are_beside_the_lines_of_chance():
    module = over_features()
    result = measured(module, module(*batch()))
    assert result["uniform"] == pytest.approx(math.log(CODES))
    assert 0 < result["chance"] < result["uniform"]
    assert result["perplexity"] <= result["codes_used"] <= CODES
    assert 0.2 < result["masked"] < 0.5 and 0 <= result["accuracy"] <= 1


def test_alarm_where_all_frames_have_few_codes():
    module = over_features(entries=2048)
    result = measured(module, module(*batch()))
    assert not module.alarms(result)  # 70 frames cannot have many codes
    silence = [torch.zeros(n) for n in SAMPLES]
    result = measured(module, module(silence, batch()[1]))
    assert result["codes_used"] == 1
    assert "few of the 2048 codes (perplexity 1.0)" in module.alarms(result)[0]


def test_codebook_is_in_the_state_and_has_its_own_seed():
    first, other = over_features(), over_features(codebook_seed=1)
    assert {"quantizer.projection", "quantizer.codebook"} <= first.state_dict().keys()
    assert not torch.equal(first.quantizer.codebook, other.quantizer.codebook)
    assert torch.equal(first.head.weight, other.head.weight)
    other = over_features(seed=1)
    assert torch.equal(first.quantizer.codebook, other.quantizer.codebook)
    assert not torch.equal(first.head.weight, other.head.weight)


def test_networks_that_do_not_fit_are_refused():
    network = Wav2Vec2(config=WAVEFORM, freeze=False)
    with pytest.raises(UnfitNetwork, match="Set target:"):
        BestRq(network)
    with pytest.raises(UnfitNetwork, match="no multiple of the 240 samples"):
        BestRq(network, target=KaldiFeatures("fbank", frame_shift=15.0))


def test_chance_is_the_entropy_of_the_codes_in_small_samples_too():
    module, random = over_features(), torch.Generator().manual_seed(0)
    true = torch.softmax(torch.randn(CODES, generator=random), 0)
    entropy = -(true * true.log()).sum().item()
    chances, perplexities = [], []
    for _ in range(100):
        drawn = torch.multinomial(true, 200, replacement=True, generator=random)
        ones = torch.tensor(200.0)
        sums = dict.fromkeys(["loss", "count", "correct", "frames"], ones)
        result = module.measures({**sums, "codes": drawn.bincount(minlength=CODES)})
        chances.append(result["chance"])
        perplexities.append(result["perplexity"])
    assert numpy.mean(chances) == pytest.approx(entropy, abs=0.06)
    assert numpy.log(perplexities).mean() < entropy - 0.12
