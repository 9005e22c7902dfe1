"""The head for speakers, words and events: contract, tracks, trunks."""

import pytest
import torch

from s3prl_sb.lobes.heads.check import check_head
from s3prl_sb.lobes.heads.contract import HeadError
from s3prl_sb.lobes.heads.recognizer import (
    SceneRecognizer,
    checked_kinds,
    track_vectors,
)

SIZES = {"projection_size": 6, "hidden_size": 5, "num_layers": 1, "word_size": 4}
COUNTS = {"num_speakers": 3, "num_events": 4, "num_tokens": 5}


def made(input_size=24, **options):
    torch.manual_seed(0)
    return SceneRecognizer(input_size, **{**COUNTS, **SIZES, **options})


class Flat(torch.nn.Module):
    """One tensor of a recognizer's whole output, [batch, frames, values]."""

    def __init__(self, input_size, num_classes, **options):
        super().__init__()
        self.head = made(input_size, **options)
        width = sum(
            {"speakers": 3, "events": 4, "words": 5 * self.tracks}[kind]
            for kind in self.head.kinds
        )
        self.register_buffer("padding", torch.zeros(num_classes - width))

    @property
    def tracks(self):
        return 3 if "speakers" in self.head.kinds else 1

    def forward(self, features, lens):
        output = self.head(features, lens)
        parts = [p for p in (output.activity, output.events) if p is not None]
        if output.words is not None:
            parts.append(output.words.transpose(1, 2).flatten(2))
        return torch.cat(parts, 2)


@pytest.mark.parametrize(
    ("options", "width"),
    [
        ({}, 22),
        ({"shared": False}, 22),
        ({"part_sizes": [16, 8], "encoder": {"name": "rnn", "cell": "gru"}}, 22),
        ({"heads": ["words"]}, 5),
        ({"heads": ["events", "words"]}, 9),
    ],
)
def test_contract(options, width):
    """Neither padding nor the batch changes an utterance."""

    def make(input_size, num_classes):
        return Flat(input_size, num_classes, **options)

    passed = check_head(make, "frames", input_size=24, num_classes=width)
    assert len(passed) > 6


def test_left_out_heads_have_no_output_and_no_weights():
    head = made(heads=["speakers"])
    output = head(torch.randn(1, 7, 24), torch.ones(1))
    assert output.words is None and output.events is None
    assert output.vectors.shape == (1, 3, 10)
    names = {name.partition(".")[0] for name, _ in head.named_parameters()}
    assert names == {"trunks", "activity"}


def test_kinds_are_checked():
    assert checked_kinds(["words", "speakers"]) == ("speakers", "words")
    with pytest.raises(HeadError, match="no head 'word'. Did you mean words"):
        made(heads=["word"])
    with pytest.raises(HeadError, match="at least one"):
        made(heads=[])
    with pytest.raises(HeadError, match=r"part_sizes \[16, 9\]: their sum is not 24"):
        made(part_sizes=[16, 9])


def test_vectors_are_of_speech_without_others():
    frames = torch.randn(1, 4, 6)
    gates = torch.tensor([[[1.0, 0], [1, 0], [1, 1], [0, 1]]])
    first, second = track_vectors(frames, gates)[0]
    assert torch.allclose(first, frames[0, :2].mean(0))
    assert torch.allclose(second, frames[0, 3])
    silent = track_vectors(frames, torch.zeros(1, 4, 2))
    assert silent.eq(0).all()


def test_true_activity_makes_the_tracks():
    """A track depends on the activity given for it, where it is known."""
    head, features, lens = made().eval(), torch.randn(1, 6, 24), torch.ones(1)
    predicted = head(features, lens).words
    unknown = torch.full((1, 6, 3), -1.0)
    assert torch.equal(head(features, lens, unknown).words, predicted)
    truth = torch.zeros(1, 6, 3)
    truth[:, :3, 0], truth[:, 3:, 1] = 1, 1
    words = head(features, lens, truth).words
    swapped = head(features, lens, truth[..., [1, 0, 2]]).words
    assert torch.allclose(words[:, [1, 0, 2]], swapped, atol=1e-6)
    assert not torch.allclose(words, predicted)


def gradients(loss, head):
    head.zero_grad()
    loss.backward()
    return {
        n for n, p in head.named_parameters() if p.grad is not None and p.grad.any()
    }


@pytest.mark.parametrize("shared", [True, False])
def test_what_the_loss_of_words_reaches(shared):
    head = made(shared=shared)
    output = head(torch.randn(2, 9, 24), torch.ones(2))
    reached = gradients(output.words[..., 0].sum(), head)
    assert any(name.startswith("words.") for name in reached)
    assert not any(name.startswith("activity") for name in reached)
    assert any(name.startswith("trunks.all") for name in reached) is shared
    assert any(name.startswith("trunks.words") for name in reached) is not shared
    assert not any(name.startswith("trunks.speakers") for name in reached)
