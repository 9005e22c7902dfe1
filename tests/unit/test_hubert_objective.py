"""HuBERT's objective: units of frames, counts, log, errors."""

import math

import numpy
import pytest
import torch
import torch.nn.functional as F

from s3prl_sb.lobes.pretext.class_counts import perplexity
from s3prl_sb.lobes.pretext.cosine_prediction import cosine_logits
from s3prl_sb.lobes.pretext.draws import Draws
from s3prl_sb.lobes.upstreams.hubert import Hubert
from s3prl_sb.lobes.upstreams.mockingjay import Mockingjay
from s3prl_sb.objectives.masked_prediction import CodesError, HubertObjective

NO_DROPOUT = {"dropout": 0.0, "attention_dropout": 0.0, "input_dropout": 0.0}
TINY = {"hidden_size": 32, "ffn_size": 48, "num_layers": 1, "num_heads": 2}
TINY |= {"conv_layers": [[8, 10, 5], [8, 8, 8], [8, 8, 8]]} | NO_DROPOUT
CLASSES = 6


def objective(stride=160, network=None, **options):
    network = network or Hubert(config=TINY, freeze=False)
    made = HubertObjective(network, final_size=16, **options)
    made.prepare_codes(CLASSES, stride)
    return made


def example(samples, stride=160, seed=0):
    random = torch.Generator().manual_seed(seed)
    wavs = [torch.randn(n, generator=random) for n in samples]
    codes = [torch.randint(CLASSES, (n // stride,), generator=random) for n in samples]
    return wavs, codes, Draws(0, [1] * len(wavs), range(len(wavs)))


def everything(frames, generator):
    return numpy.ones(frames, bool)


def test_logits_are_those_of_fairseq_without_its_second_column():
    torch.manual_seed(0)
    x, embeddings = torch.randn(9, 5), torch.rand(CLASSES, 5)
    targets = torch.randint(CLASSES, (9,))
    columns = torch.cat(
        [embeddings[targets][None], embeddings[:, None].expand(-1, 9, 5)]
    )
    logits = torch.cosine_similarity(x, columns, dim=-1).T / 0.1
    logits[torch.arange(9), 1 + targets] = -math.inf
    expected = F.cross_entropy(logits, torch.zeros(9, dtype=torch.long))
    ours = F.cross_entropy(cosine_logits(x, embeddings), targets)
    assert torch.allclose(ours, expected, rtol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_batch_is_the_sum_of_its_utterances(training):
    made = objective(penalty_weight=0.0).train(training)
    wavs, codes, draws = example([9000, 4000, 700])
    loss, count, sums = made(wavs, draws, codes)
    pairs = enumerate(zip(wavs, codes))
    alone = [made([wav], Draws(0, [1], [i]), [each]) for i, (wav, each) in pairs]
    assert torch.allclose(loss, sum(each.loss for each in alone), rtol=1e-5)
    assert count == sum(each.count for each in alone)
    del sums["penalty"]  # the mean of all frames, times the number of predicted ones
    for name, value in sums.items():
        assert torch.allclose(value, sum(each.sums[name] for each in alone)), name
    assert ("unmasked_units" in sums) is not training


@pytest.mark.parametrize(("stride", "step"), [(160, 2), (320, 1), (640, 0.5)])
def test_unit_of_a_frame_is_the_one_at_its_first_sample(stride, step):
    made = objective(stride, mask=everything)
    wavs, codes, draws = example([8000], stride)
    _, count, sums = made(wavs, draws, codes)
    frames = made.network.frames(8000)
    expected = [int(codes[0][int(step * t)]) for t in range(frames)]
    assert int(count) == frames
    assert sums["units"].tolist() == [expected.count(k) for k in range(CLASSES)]


def test_frames_after_the_last_unit_do_not_count():
    made = objective(mask=everything)
    wavs, codes, draws = example([8000])
    _, count, _ = made(wavs, draws, [codes[0][:-5]])  # 45 units: frames 0 to 22
    assert int(count) == 23 == made.network.frames(8000) - 1


def test_mask_hides_the_frames():
    config = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config |= {"intermediate_size": 48, "hidden_dropout_prob": 0.0}
    config |= {"attention_probs_dropout_prob": 0.0}
    network = Mockingjay(config={"transformer": config}, freeze=False)
    made = objective(network=network, mask=everything, penalty_weight=0.0)
    wavs, codes, draws = example([8000])
    losses = [made([wav], draws, codes).loss for wav in (wavs[0], torch.rand(8000))]
    assert torch.allclose(*losses)
    made.mask = lambda frames, generator: numpy.arange(frames) % 2 == 0
    losses = [made([wav], draws, codes).loss for wav in (wavs[0], torch.rand(8000))]
    assert not torch.allclose(*losses)


def test_every_parameter_gets_a_gradient():
    made = objective()
    wavs, codes, draws = example([8000])
    made(wavs, draws, codes).loss.backward()
    without = [n for n, p in made.named_parameters() if p.grad is None]
    assert not without
    names = dict(made.named_parameters())
    own = {"mask_vector", "label_embeddings"}
    own |= {"final_projection.weight", "final_projection.bias"}
    assert {n for n in names if not n.startswith("network.")} == own


def test_log_compares_with_a_guess():
    made = objective()
    sums = {
        "prediction": torch.tensor(20.0),
        "correct": torch.tensor(6),
        "units": torch.tensor([8, 4, 4, 0]),
        "guesses": torch.tensor([16, 0, 0, 0]),
        "penalty": torch.tensor(8.0),
        "loss": torch.tensor(100.0),
        "count": torch.tensor(16),
    }
    measures = made.measures(sums)
    entropy = 0.5 * math.log(2) + 0.5 * math.log(4)
    assert measures["chance"] == pytest.approx(
        entropy + 2 / 32
    )  # three units, 16 draws
    assert measures["unit_perplexity"] == pytest.approx(math.exp(entropy))
    assert measures["loss"] == 1.25 and measures["penalty"] == 0.5
    assert measures["accuracy"] == 0.375 and measures["chance_accuracy"] == 0.5
    assert not made.hints(measures)  # normal in the first updates
    made.set_step(600, 1000)
    assert "same unit for every" in made.hints(measures)[0]
    assert not made.alarms(measures)
    sums["guesses"] = torch.tensor([10, 6, 0, 0])
    assert not made.hints(made.measures(sums))
    sums["units"] = torch.tensor([16, 0, 0, 0])
    assert "units quality" in made.alarms(made.measures(sums))[0]
    assert math.isnan(perplexity(torch.zeros(3)))  # of nothing


def test_weights_depend_on_the_seed_alone():
    torch.manual_seed(1)
    first = objective(seed=5).state_dict()
    torch.manual_seed(2)
    second = objective(seed=5).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = objective(seed=6).state_dict()
    assert not torch.equal(first["label_embeddings"], other["label_embeddings"])


def test_units_that_do_not_fit_are_refused():
    made = objective()
    wavs, codes, draws = example([8000])
    with pytest.raises(CodesError, match="25 units of 160 samples .* units apply"):
        made(wavs, draws, [codes[0][::2]])  # made for another stride
    with pytest.raises(CodesError, match="key units"):
        made(wavs, draws)
    with pytest.raises(CodesError, match="nothing to predict"):
        made.prepare_codes(1, 160)


def test_half_precision_changes_the_loss_little():
    made = objective(penalty_weight=0.0)
    wavs, codes, draws = example([8000, 6000])
    exact = made(wavs, draws, codes).loss
    with torch.autocast("cpu", torch.bfloat16):
        loss = made(wavs, draws, codes).loss
    assert loss.dtype == torch.float32
    assert torch.allclose(loss, exact, rtol=0.05)
