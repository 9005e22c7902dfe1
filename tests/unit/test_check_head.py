"""The checker of heads: broken candidates fail, and the words say why."""

import pytest
import torch

from s3prl_sb.lobes.heads.check import HeadContractError, check_head
from s3prl_sb.lobes.heads.pooling import frame_mask


class Sound(torch.nn.Module):
    """A candidate that keeps the contract, to be broken in one way each."""

    def __init__(self, input_size, num_classes):
        super().__init__()
        self.enter = torch.nn.Linear(input_size, 8)
        self.leave = torch.nn.Linear(8, num_classes)

    def pool(self, x, lens):
        mask = frame_mask(x, lens)[..., None]
        return x.masked_fill(~mask, 0.0).sum(1) / mask.sum(1)

    def forward(self, features, lens):
        return self.leave(self.pool(self.enter(features).relu(), lens))


class FewerFrames(Sound):
    def forward(self, features, lens):
        return self.leave(self.enter(features[:, ::2]))


class NoModule:
    def __init__(self, *sizes):
        pass


class NotOneFrame(Sound):
    def pool(self, x, lens):
        x = x[:, 1:] if x.shape[1] > 1 else x[:, :0]
        return x.sum(1) / x.shape[1]


class CountsPadding(Sound):
    def pool(self, x, lens):
        return x.mean(1)


class KnowsTheLongest(Sound):
    """It removes the padding, and divides by the frames of the batch."""

    def pool(self, x, lens):
        return x.masked_fill(~frame_mask(x, lens)[..., None], 0.0).mean(1)


class MixesUtterances(Sound):
    def pool(self, x, lens):
        pooled = super().pool(x, lens)
        return pooled - pooled.mean(0)


class InPlace(Sound):
    def forward(self, features, lens):
        return super().forward(features.mul_(2.0), lens)


class Random(Sound):
    def pool(self, x, lens):
        return torch.nn.functional.dropout(super().pool(x, lens))


class NormOfPadding(Sound):
    def __init__(self, input_size, num_classes):
        super().__init__(input_size, num_classes)
        self.norm = torch.nn.BatchNorm1d(8)

    def pool(self, x, lens):
        return super().pool(self.norm(x.transpose(1, 2)).transpose(1, 2), lens)


class NormOfUtterances(NormOfPadding):
    def pool(self, x, lens):
        return self.norm(Sound.pool(self, x, lens))


class Unused(Sound):
    def __init__(self, input_size, num_classes):
        super().__init__(input_size, num_classes)
        self.other = torch.nn.Linear(2, 2)


class RootAtZero(Sound):
    def pool(self, x, lens):
        mean = super().pool(x, lens)
        squares = super().pool((x - mean[:, None]).square(), lens)
        return squares.sqrt()


class NotInTheState(Sound):
    def __init__(self, input_size, num_classes):
        super().__init__(input_size, num_classes)
        self.scale = torch.randn(8)

    def pool(self, x, lens):
        return super().pool(x, lens) * self.scale


class Shared(Sound):
    layer = torch.nn.Linear(24, 8)

    def __init__(self, input_size, num_classes):
        super().__init__(input_size, num_classes)
        self.enter = self.layer


class ClaimsLinear(Sound):
    linear = True


class LinearFrames(Sound):
    linear = True

    def forward(self, features, lens):
        return self.leave(self.enter(features))


@pytest.mark.parametrize(
    "candidate, message",
    [
        (NoModule, "shapes: NoModule is no torch.nn.Module"),
        (FewerFrames, r"shapes: \[6, 40, 24\] became \[6, 20, 5\]; return \[6, 5\] or"),
        (NotOneFrame, "one frame: an utterance of one frame has an output that is not"),
        (CountsPadding, "padding: what stands in the padding changes the output"),
        (KnowsTheLongest, "company: an utterance gets another output in a batch"),
        (MixesUtterances, "company: an utterance gets another output in a batch"),
        (InPlace, "evaluation: it changes the features in place"),
        (Random, "evaluation: a second call gives another output"),
        (NormOfPadding, "training: in training, what stands in the padding"),
        (NormOfUtterances, "training: a batch of one utterance cannot be trained on"),
        (Unused, "gradients: 2 of 6 parameters get no gradient, other.weight for one"),
        (RootAtZero, "gradients: the gradient of enter.weight is not finite"),
        (NotInTheState, "state: its state_dict in a new one gives another output"),
        (Shared, "copies: two heads share 2 parameters"),
        (ClaimsLinear, "linear: it declares linear = True, but a mean over time"),
        (LinearFrames, "linear: it declares linear = True, and returns frames"),
    ],
)
def test_what_is_broken_is_said(candidate, message):
    with pytest.raises(HeadContractError, match=message):
        check_head(candidate)


def test_too_coarse_in_half_precision():
    class Coarse(Sound):
        def pool(self, x, lens):  # bfloat16 has no numbers between 1000 and 1004
            return super().pool(x + 1000.0, lens) - 1000.0

    with pytest.raises(HeadContractError, match="bfloat16: under autocast .* differs"):
        check_head(Coarse)


def test_a_sound_one_passes():
    lines = check_head(Sound, "utterances")
    assert lines[0] == "shapes: one vector an utterance, 245 parameters"
    assert lines[-2:] == ["linear: not declared", "sweeps: all learning rates at once"]


def test_the_kind_that_a_task_needs():
    with pytest.raises(HeadContractError, match=r"return \[6, 40, 5\]:"):
        check_head(Sound, "frames")


def test_an_exception_is_a_violation():
    def make(input_size, num_classes):
        raise KeyError("mine")

    with pytest.raises(HeadContractError, match="shapes: raised KeyError: 'mine'"):
        check_head(make)


def test_what_could_be_declared_is_said():
    class Plain(Sound):
        def forward(self, features, lens):
            return self.leave(self.pool(self.enter(features), lens))

    [line] = [line for line in check_head(Plain) if line.startswith("linear")]
    assert "a mean over time may come before it" in line


def test_the_random_numbers_of_the_caller_are_kept():
    before = torch.random.get_rng_state()
    check_head(Sound)
    assert torch.equal(torch.random.get_rng_state(), before)
