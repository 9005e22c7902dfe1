"""Frame labels of diarization: from segments, and back."""

import random

import numpy as np
import pytest
import torch
from scipy.signal import medfilt

from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.dataio.pipes import UnfoldChunks
from s3prl_sb.dataio.speaker_activity import (
    SpeakerActivity,
    UnfoldFrames,
    decide,
    segments,
)
from s3prl_sb.errors import UserError

SHIFT = 0.02


class Frames:
    """Frames as HuBERT counts them."""

    stride, sample_rate = 320, 16000

    def frames(self, samples):
        return max(1, (samples - 400) // 320 + 1)


def record(found, duration=1.0, regions=None):
    return {
        "wav": "",
        "duration": duration,
        "start": None,
        "stop": None,
        "segments": found,
        "speakers": sorted({speaker for speaker, *_ in found}),
        "regions": regions,
    }


def labels(records, *pipes, speakers=2):
    pipes = [*pipes, SpeakerActivity(Frames(), speakers)]
    dataset = ManifestDataset(records, pipes, ["id", "activity"])
    return {
        e["id"]: e["activity"] for e in map(dataset.__getitem__, range(len(dataset)))
    }


def test_against_a_loop_over_frames():
    found = [["b", 0.0, 0.333], ["a", 0.1, 0.52], ["a", 0.5, 0.71], ["b", 0.9, 1.0]]
    activity = labels({"r": record(found)}, speakers=3)["r"]
    assert activity.shape == (49, 3) and activity.dtype == torch.float32
    for frame, row in enumerate(activity.tolist()):
        for column, speaker in enumerate("abc"):
            active = any(
                round(start / SHIFT) <= frame < round(stop / SHIFT)
                for name, start, stop in found
                if name == speaker
            )
            assert row[column] == active


def test_times_between_two_frames():
    """0.35 s are 17.5 frames of 20 ms, of which floating point makes 17.49…"""
    pipe = SpeakerActivity(Frames(), 1)
    for hundredths in range(300):
        end = hundredths / 100
        labels = pipe.label(4.0, None, [["ann", 0.0, end]], ["ann"], None)
        assert labels.sum() == np.rint(hundredths * 160 / 320)
        later = pipe.label(4.0, 1.0, [["ann", 1.0, 1.0 + end]], ["ann"], None)
        assert later.sum() == labels.sum()


def test_a_segment_over_a_whole_chunk_is_speech():
    found = [["ann", 0.1, 3.9], ["bob", 3.2, 3.6]]
    chunks = labels({"r": record(found, 4.0)}, UnfoldChunks(1.0))
    assert list(chunks) == ["r-0000", "r-0001", "r-0002", "r-0003"]
    assert chunks["r-0001"][:, 0].all() and not chunks["r-0001"][:, 1].any()
    # The same column in all chunks, and the time of the recording
    assert chunks["r-0003"][:, 1].nonzero().flatten().tolist() == list(range(10, 30))


def test_chunks_have_the_labels_of_the_whole():
    """Chunks that begin at a frame. (Their last frame may be missing.)"""
    draw = random.Random(0)
    found = [[name, a := draw.uniform(0, 9), a + draw.uniform(0, 2)]
             for name in "ab" for _ in range(5)]  # fmt: skip
    whole = labels({"r": record(found, 11.0)})["r"]
    pipe = UnfoldFrames(100, Frames())
    assert pipe.seconds == 2.0
    for name, part in labels({"r": record(found, 11.0)}, pipe).items():
        first = 100 * int(name[-4:])
        assert torch.equal(part, whole[first : first + len(part)])
        assert len(part) == (99 if name[-1] != "5" else 49)


def test_what_is_not_annotated_is_unknown():
    activity = labels({"r": record([["a", 0.1, 0.9]], regions=[[0.2, 0.4]])})["r"]
    known = (activity >= 0).all(1)
    assert known.nonzero().flatten().tolist() == list(range(10, 20))
    assert (activity[~known] == -1).all() and activity[known, 0].all()
    chunks = labels({"r": record([], 2.0, [[0.5, 1.5]])}, UnfoldChunks(1.0))
    assert (chunks["r-0000"][:25] == -1).all() and (chunks["r-0000"][25:] == 0).all()
    assert (chunks["r-0001"][:25] == 0).all() and (chunks["r-0001"][25:] == -1).all()


def test_too_many_speakers():
    found = [["a", 0, 1], ["b", 0, 1], ["c", 0, 1]]
    with pytest.raises(UserError, match=r"'r' has 3 speakers \(a, b, c\).*now 2"):
        labels({"r": record(found)})


@pytest.mark.parametrize("median", [1, 3, 11])
def test_median_filter_is_scipy_s(median):
    probabilities = np.random.default_rng(median).random((60, 2))
    active = decide(probabilities, 0.4, median)
    for column in range(2):
        decided = (probabilities[:, column] > 0.4).astype(float)
        assert np.array_equal(active[:, column], medfilt(decided, median) > 0.5)
    # Also where there are fewer frames than the filter is wide
    assert decide(np.ones((6, 1)), median=11).all()
    assert not decide(np.ones((5, 1)), median=11).any()


def test_a_median_of_even_width():
    with pytest.raises(ValueError, match="must be odd"):
        decide(np.ones((5, 1)), median=4)


def test_there_and_back():
    """Segments that begin and end at frames survive."""
    found = [["speaker1", 0.0, 0.4], ["speaker1", 0.6, 1.01], ["speaker2", 0.2, 0.5]]
    activity = labels({"r": record(found, 1.01)})["r"]
    back = segments(decide(activity), SHIFT, 1.01)
    assert back == sorted(map(tuple, found), key=lambda segment: segment[1])


def test_nothing_and_everything():
    assert segments(np.zeros((5, 2), dtype=bool), SHIFT, 0.1) == []
    assert segments(np.ones((1, 1), dtype=bool), SHIFT, 0.005) == [
        ("speaker1", 0, 0.005)
    ]
