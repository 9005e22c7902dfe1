"""The network of voice conversion: true lengths, seeded dropout, processes."""

import pytest
import torch

from s3prl_sb.lobes.heads.spectrogram import SpectrogramPredictor, resampled
from s3prl_sb.lobes.networks.masked_batch_norm import MaskedBatchNorm
from s3prl_sb.lobes.networks.projected_lstm import ProjectedLSTM

SMALL = {"num_mels": 5, "hidden_size": 8, "channels": 4, "prenet_size": 7}


def network(**options):
    torch.manual_seed(0)
    made = SpectrogramPredictor(6, **{**SMALL, "ratio": 1.875, **options})
    made.set_statistics(torch.linspace(-4, -2, 5), torch.linspace(0.5, 1.5, 5))
    return made


@pytest.mark.parametrize("options", [{}, {"encoder": "linear", "prenet_layers": 0}])
def test_an_utterance_does_not_depend_on_its_batch(options):
    """Its own predictions, and where it sees the true frames."""
    head = network(**options).eval()
    features, lens = torch.randn(3, 20, 6), torch.tensor([1.0, 0.3, 0.65])
    targets = torch.randn(3, 40, 5)
    frames = head.frames(features, lens)
    assert frames.tolist() == [37, 11, 24]
    for given in (None, targets):
        together = head(features, lens, given)
        for i, count in enumerate([20, 6, 13]):
            own = None if given is None else given[i : i + 1]
            alone = head(features[i : i + 1, :count], torch.ones(1), own)
            assert alone.shape[1] == frames[i]
            assert torch.allclose(together[i, : frames[i]], alone[0], atol=1e-5)


def test_dropout_of_the_prenet_is_on_and_repeatable_in_evaluation():
    """Frame f has the same mask in every utterance, of any length."""
    head = network().eval()
    kept = head.prenet.kept(30, torch.zeros(1))
    assert kept.shape == (2, 30, 7) and set(kept.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(head.prenet.kept(12, torch.zeros(1)), kept[:, :12])
    features = torch.randn(1, 20, 6)
    assert torch.equal(head(features, torch.ones(1)), head(features, torch.ones(1)))
    off = network(dropout=0.0).eval()
    assert not torch.allclose(
        head(features, torch.ones(1)), off(features, torch.ones(1))
    )
    head.train()
    assert head.prenet.kept(30, torch.zeros(1)) is None
    targets = torch.randn(1, 37, 5)
    ones = [head(features, torch.ones(1), targets) for _ in range(2)]
    assert not torch.equal(*ones)


def test_a_prediction_depends_on_the_true_frames_before_alone():
    """Teacher forcing shows frame t - 1, not frame t."""
    head = network(ratio=1.0, dropout=0.0).eval()
    features, targets = torch.randn(1, 9, 6), torch.randn(1, 9, 5)
    changed = targets.clone()
    changed[:, 4] += 1
    differs = (
        head(features, torch.ones(1), targets) - head(features, torch.ones(1), changed)
    ).abs().amax((0, 2)) > 0
    assert differs.tolist() == [False] * 5 + [True] * 4


def test_resampling_is_that_of_interpolate():
    """Utterances of every length, at strides of 10 and 20 ms."""
    for ratio in (0.9375, 1.875, 2.0, 0.46875):
        for frames in range(1, 70):
            x = torch.randn(1, frames, 2)
            head = SpectrogramPredictor(2, **SMALL, ratio=ratio)
            count = int(head.frames(x, torch.ones(1))[0])
            if frames * ratio < 1:
                assert count == 1
                continue
            theirs = torch.nn.functional.interpolate(x.mT, scale_factor=ratio).mT
            assert torch.equal(resampled(x, count, ratio), theirs), (ratio, frames)


def test_padding_leaves_a_batch_norm_as_zeros():
    """Its statistics are those of BatchNorm1d over all true frames."""
    mine, theirs = MaskedBatchNorm(3), torch.nn.BatchNorm1d(3)
    x, mask = torch.randn(2, 5, 3), torch.ones(2, 5, dtype=torch.bool)
    mask[1, 3:] = False
    out, expected = mine(x, mask), theirs(x[mask])
    assert torch.allclose(out[mask], expected, atol=1e-6) and not out[~mask].any()
    assert torch.allclose(mine.running_mean, theirs.running_mean)
    assert torch.allclose(mine.running_var, theirs.running_var)
    mine.eval(), theirs.eval()
    assert torch.allclose(mine(x, mask)[mask], theirs(x[mask]), atol=1e-6)


def test_a_layer_without_feedback_is_torchs_lstm():
    """And one with it is LSTMCell, frame by frame."""
    torch.manual_seed(0)
    layer = ProjectedLSTM(4, 6, dropout=0.0)
    x, state, outputs = torch.randn(2, 7, 4), None, []
    for frame in x.unbind(1):
        hidden, cell = layer.cell(frame, state)
        state = torch.tanh(layer.projection(hidden)), cell
        outputs.append(state[0])
    assert torch.allclose(layer(x), torch.stack(outputs, 1), atol=1e-6)
    plain = ProjectedLSTM(4, 6, dropout=0.0, feeds_back=False)
    expected = torch.tanh(plain.projection(plain.cell(x)[0]))
    assert torch.allclose(plain(x), expected)
