"""Objective of wav2vec 2.0: its parts, batches and alarms."""

import math

import numpy
import pytest
import torch

from s3prl_sb.lobes.pretext.draws import Draws
from s3prl_sb.lobes.pretext.spans import SpanMask
from s3prl_sb.lobes.upstreams.apc import Apc
from s3prl_sb.lobes.upstreams.mockingjay import Mockingjay
from s3prl_sb.lobes.upstreams.wav2vec2 import Wav2Vec2
from s3prl_sb.objectives.wav2vec2 import Wav2Vec2Objective

TINY = {
    "hidden_size": 32,
    "ffn_size": 48,
    "num_layers": 2,
    "num_heads": 4,
    "conv_layers": [[16, 10, 5], [16, 8, 32]],
}
SIZES = {"entries": 8, "code_size": 16, "final_size": 12, "num_negatives": 9}
SAMPLES = (16000, 9000, 12345)


def objective(network=None, dropout=0.0, **options):
    drops = dict.fromkeys(["dropout", "attention_dropout", "input_dropout"], dropout)
    network = network or Wav2Vec2(config={**TINY, **drops}, freeze=False)
    return Wav2Vec2Objective(
        network, **{**SIZES, "dropout_features": dropout, **options}
    )


def batch(rows=(0, 1, 2), epoch=1):
    wavs = []
    for row in rows:
        random = torch.Generator().manual_seed(row)
        wavs.append(torch.randn(SAMPLES[row], generator=random))
    return wavs, Draws(0, [epoch] * len(rows), rows)


def measured(module, *outcomes):
    sums = {name: sum(o.sums[name] for o in outcomes) for name in outcomes[0].sums}
    sums["loss"] = sum(o.loss.detach() for o in outcomes)
    sums["count"] = sum(o.count for o in outcomes)
    return module.measures(sums)


@pytest.mark.parametrize("negatives", ["masked", "all"])
@pytest.mark.parametrize("training", [True, False])
def test_an_utterance_is_the_same_alone_and_with_others(negatives, training):
    module = objective(negatives=negatives).train(training)
    together = module(*batch())
    alone = [module(*batch([row])) for row in range(3)]
    for name in (
        "contrastive",
        "correct",
        "alone",
        "guessed",
        "probabilities",
        "frames",
    ):
        total = sum(outcome.sums[name] for outcome in alone)
        torch.testing.assert_close(together.sums[name], total, rtol=1e-5, atol=1e-4)
    assert together.count == sum(outcome.count for outcome in alone)
    result, expected = measured(module, together), measured(module, *alone)
    for name in ("loss", "accuracy", "perplexity", "alone", "masked"):
        assert result[name] == pytest.approx(expected[name], rel=1e-5), name


def test_loss_is_its_three_parts():
    module = objective(diversity_weight=0.3, penalty_weight=5.0).eval()
    wavs, draws = batch()
    outcome = module(wavs, draws)
    local, _ = module.network.local(wavs)
    result = measured(module, outcome)
    assert result["penalty"] == pytest.approx(local.pow(2).mean().item(), rel=1e-5)
    diversity = 1 - result["perplexity"] / 16
    expected = result["loss"] + 0.3 * diversity + 5 * result["penalty"]
    assert result["total_loss"] == pytest.approx(expected, rel=1e-5)
    assert outcome.loss.item() == pytest.approx(expected * outcome.count.item())


def test_everything_random_is_a_function_of_the_example():
    module = objective()
    losses = [module(*batch(epoch=epoch)).loss.item() for epoch in (1, 2, 1)]
    assert losses[0] == losses[2] != losses[1]


def test_masked_audio_is_hidden_from_the_encoder():
    """The encoder's input is the mask vector there, the targets are the true frames."""
    module, seen = objective(), []
    contextualize = module.network.contextualize
    module.network.contextualize = lambda x, frames: (
        seen.append((x, frames)) or contextualize(x, frames)
    )
    outcome = module(*batch())
    (x, frames), draws = seen[0], batch()[1]
    masks = [module.mask(n, draws.of(i, "mask")) for i, n in enumerate(frames)]
    masked = torch.from_numpy(numpy.concatenate(masks))
    assert torch.equal((x == module.mask_vector).all(1), masked)
    assert outcome.count == masked.sum() < len(masked)


def test_gradient_reaches_everything_and_is_scaled_at_the_local_frames():
    gradients = []
    for factor in (1.0, 0.1):
        module = objective(feature_grad_mult=factor)
        module(*batch()).loss.backward()
        assert all(p.grad is not None for p in module.parameters())
        network = module.network.network
        gradients.append(
            (
                network.front_end.convolutions[0].weight.grad,
                network.projection.weight.grad,
            )
        )
    torch.testing.assert_close(0.1 * gradients[0][0], gradients[1][0])
    torch.testing.assert_close(gradients[0][1], gradients[1][1])


@pytest.mark.parametrize("samples", [400, 480, 800])
def test_very_short_audio(samples):
    """One frame: nothing is masked. Two: one is masked, without a distractor."""
    module = objective()
    outcome = module([torch.randn(samples)], Draws(0, [1], [0]))
    outcome.loss.backward()
    assert outcome.loss.isfinite() and all(
        p.grad is not None and p.grad.isfinite().all() for p in module.parameters()
    )
    assert math.isfinite(measured(module, outcome)["loss"])


@pytest.mark.parametrize("make", [Mockingjay, Apc])
def test_networks_over_acoustic_features(make):
    config = {"transformer": {"hidden_size": 32, "num_attention_heads": 4}}
    network = make(config={"hidden_size": 32} if make is Apc else config, freeze=False)
    module = objective(network)
    outcome = module(*batch())
    outcome.loss.backward()
    assert module.mask_vector.grad.any() and outcome.count > 30


def test_temperature_cools_down_over_the_training():
    module = objective(temperature=[2.0, 0.5])
    temperatures = []
    for step in (0, 350, 700, 1000):
        module.set_step(step, 1000)
        temperatures.append(module.quantizer.temperature)
    assert temperatures == pytest.approx([2.0, 1.0, 0.5, 0.5])
    published = objective(temperature_decay=0.999995)
    published.set_step(100_000, 400_000)
    module.set_step(100_000, 400_000)
    ours, theirs = module.quantizer.temperature, published.quantizer.temperature
    assert theirs == pytest.approx(2 * math.exp(-0.5), rel=1e-4)
    assert ours == pytest.approx(theirs, rel=0.01)


def test_collapsed_codes_are_an_alarm():
    module = objective().eval()
    healthy = measured(module, module(*batch()))
    assert 0.8 * math.log(10) < healthy["chance"] <= math.log(10)
    module.quantizer.logits.weight.data.zero_()
    module.quantizer.logits.bias.data[[0, 8]] = 9.0
    collapsed = measured(module, module(*batch()))
    assert (collapsed["loss"], collapsed["alone"]) == (0, 1)
    assert math.isnan(collapsed["accuracy"])  # of no prediction with a distractor
    assert collapsed["chance"] == 0  # and so no success
    assert collapsed["perplexity"] == pytest.approx(2)
    alarms = " ".join(module.alarms(collapsed))
    assert "perplexity is 2.0 of 16" in alarms and "100.0% of the masked" in alarms
    assert not module.alarms({**healthy, "perplexity": 9.0, "alone": 0.0})
    assert (
        "no success"
        in module.alarms(
            {**healthy, "perplexity": 9.0, "alone": 0.0, "loss": 0.0, "accuracy": 1.0}
        )[0]
    )


def test_it_learns_where_there_is_something_to_learn():
    """The distractors of a tone are other tones, in random order."""
    torch.manual_seed(0)
    module = objective(mask=SpanMask(0.3, 3), negatives="all", penalty_weight=0.0)
    time = torch.arange(1600) / 16000
    optimizer = torch.optim.Adam(module.parameters(), 3e-3)
    losses = []
    for step in range(60):
        module.set_step(step, 60)
        random = numpy.random.default_rng(step % 6)
        wavs = [
            torch.cat([torch.sin(2 * torch.pi * f * time) for f in row])
            for row in random.choice([200, 450, 900, 1800, 3600], (2, 10))
        ]
        outcome = module(wavs, Draws(0, [step] * 2, [0, 1]))
        (outcome.loss / outcome.count).backward()
        optimizer.step(), optimizer.zero_grad()
        losses.append(float(outcome.sums["contrastive"] / outcome.count))
    assert sum(losses[-10:]) < 0.85 * sum(losses[:10])


def test_weights_depend_on_the_seed_alone():
    torch.manual_seed(1)
    first = objective(seed=3)
    state = torch.get_rng_state()
    again, other = objective(seed=3), objective(seed=4)
    assert torch.equal(first.mask_vector, again.mask_vector)
    assert not torch.equal(
        first.quantizer.codewords, other.quantizer.codewords
    ) and torch.equal(first.quantizer.codewords, again.quantizer.codewords)
    assert len(state) == len(torch.get_rng_state())


def test_unknown_negatives_are_refused():
    with pytest.raises(ValueError, match="masked or all, not 'every'"):
        objective(negatives="every")
