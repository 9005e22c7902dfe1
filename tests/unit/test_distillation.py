"""The objective that learns a teacher's hidden states."""

import copy

import pytest
import torch

from s3prl_sb.lobes.cards.initializing import InitError
from s3prl_sb.lobes.pretext.draws import Draws
from s3prl_sb.lobes.upstreams.distilhubert import DistilHubert
from s3prl_sb.lobes.upstreams.hubert import Hubert
from s3prl_sb.objectives.distillation import Distillation, DistillationError

SIZES = {"hidden_size": 32, "ffn_size": 48, "num_heads": 2}
SIZES |= {"conv_layers": [[8, 10, 5], [8, 8, 8], [8, 8, 8]]}
NO_DROPOUT = ("dropout", "attention_dropout", "activation_dropout", "input_dropout")
STILL = SIZES | dict.fromkeys(NO_DROPOUT, 0.0)
HEADS = {"targets": [2, 3], "target_size": 32, "inner_size": 16}


def teacher(**options):
    return Hubert(config={**SIZES, "num_layers": 3}, seed=1, **options)


def distil(**entries):
    return DistilHubert(config={**STILL, **HEADS, **entries}, freeze=False)


def noise(*samples):
    random = torch.Generator().manual_seed(0)
    return [0.1 * torch.randn(n, generator=random) for n in samples]


def draws(count):
    return Draws(0, [1] * count, range(count))


def test_batch_is_the_sum_of_its_utterances():
    made = Distillation(distil(), teacher())
    wavs = noise(9000, 4000, 700)
    loss, count, sums = made(wavs, draws(3))
    alone = [made([wav], draws(1)) for wav in wavs]
    assert torch.allclose(loss, sum(each.loss for each in alone), rtol=1e-5)
    assert count == sum(each.count for each in alone)
    for name, value in sums.items():
        expected = sum(each.sums[name] for each in alone)
        assert torch.allclose(value, expected, rtol=1e-4)
    measures = made.measures({**sums, "loss": loss.detach(), "count": count})
    assert measures["loss"] == pytest.approx(float(loss.detach() / count))
    assert set(measures) == {"loss", "l1_2", "l1_3", "cosine_2", "cosine_3"}
    assert -1 <= measures["cosine_3"] <= 1


def test_teacher_stays_outside_and_in_eval_mode():
    made = Distillation(distil(), teacher())
    parameters = {id(p) for p in made.parameters()}
    assert not parameters & {id(p) for p in made.teacher.parameters()}
    assert not any("teacher" in name for name in made.state_dict())
    made.train()
    assert made.network.training and not made.teacher.training
    made(noise(4000), draws(1)).loss.backward()
    assert all(p.grad is not None for p in made.parameters())
    assert all(p.grad is None for p in made.teacher.parameters())
    moved = copy.deepcopy(made).double()
    assert {p.dtype for p in moved.teacher.parameters()} == {torch.float64}
    assert moved.teacher is not made.teacher


def test_perfect_student_has_no_distance():
    class Same(Hubert):
        predicted_layers = [2, 3]

    student = Same(config={**STILL, "num_layers": 3}, freeze=False)
    made = Distillation(student, teacher(), cosine_weight=0.0)
    loss, count, _ = made(noise(4000), draws(1))
    assert float(loss.detach() / count) < 1e-5


def test_any_network_gets_heads():
    student = Hubert(config={**STILL, "num_layers": 2}, freeze=False)
    made = Distillation(student, teacher(), targets=[1, 3])
    names = [name for name in made.state_dict() if name.startswith("heads.")]
    assert len(names) == 8
    made(noise(4000), draws(1)).loss.backward()
    assert all(p.grad is not None for p in made.parameters())


def test_frames_that_one_of_both_lacks_do_not_count():
    student = distil(conv_layers=[[8, 10, 5], [8, 8, 8], [8, 4, 8]])
    options = {"init_from_teacher": False}
    made = Distillation(student, teacher(), **options)
    wavs = noise(6600, 5000)
    frames = [(student.frames(len(w)), made.teacher.frames(len(w))) for w in wavs]
    assert frames[0][0] == frames[0][1] + 1
    outcome = made(wavs, draws(2))
    assert int(outcome.count) == sum(its for _, its in frames)
    alone = [made([wav], draws(1)).loss for wav in wavs]
    assert torch.allclose(outcome.loss, sum(alone), rtol=1e-5)
    made.teacher.packed = False  # it takes equal lengths alone
    assert torch.allclose(made(wavs, draws(2)).loss, outcome.loss, rtol=1e-5)


@pytest.mark.parametrize(
    ("student", "options", "message"),
    [
        (distil(), {"targets": [1, 2]}, r"\[1, 2\].*predicts the layers \[2, 3\]"),
        (distil(targets=[2, 4]), {}, "has 4.*hidden states 0 to 3"),
        (distil(target_size=24), {}, "24 values for layer 2.*target_size: 32"),
        (distil(conv_layers=[[8, 10, 5]]), {}, "stride of the network is 5.* 320"),
        (Hubert(config=STILL, freeze=False), {}, "set targets"),
    ],
    ids=["other_targets", "no_such_layer", "size", "stride", "no_targets"],
)
def test_refuses_what_cannot_be_learned(student, options, message):
    with pytest.raises(DistillationError, match=message):
        Distillation(student, teacher(), **options)


def test_refuses_a_teacher_that_learns():
    with pytest.raises(DistillationError, match="freeze: True"):
        Distillation(distil(), teacher(freeze=False))


def test_starts_as_the_first_layers_of_the_teacher():
    made = Distillation(distil(), teacher())
    ours, its = made.network.state_dict(), made.teacher.state_dict()
    shared = {name for name in ours if ".heads." not in name}
    assert len(shared) > 30
    assert all(torch.equal(ours[name], its[name]) for name in shared)
    with pytest.raises(InitError, match="other shapes"):
        Distillation(distil(ffn_size=32), teacher())
    Distillation(distil(ffn_size=32), teacher(), init_from_teacher=False)


def test_half_precision_is_the_student_s_alone():
    made = Distillation(distil(), teacher())
    targets, _ = made._taught(noise(4000))
    exact = made(noise(4000), draws(1)).loss
    with torch.autocast("cpu", torch.bfloat16):
        again, _ = made._taught(noise(4000))
        loss = made(noise(4000), draws(1)).loss
    assert all(torch.equal(a, b) for a, b in zip(targets, again))
    assert loss.dtype == torch.float32
    assert torch.allclose(loss, exact, rtol=0.05)
