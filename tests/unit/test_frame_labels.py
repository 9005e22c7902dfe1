"""Labels of frames against a naive loop, and features aligned with them."""

import math

import pytest
import torch

from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.dataio.frame_labels import UNKNOWN, FrameLabels, frame_segments
from s3prl_sb.dataio.pipes import ChangeSpeed, LoadAudio, RandomCrop, UnfoldChunks
from s3prl_sb.errors import ManifestError
from s3prl_sb.lobes.time_alignment import align, count_frames
from s3prl_sb.lobes.upstreams import load

LABELS = ["ah", "sil", "t"]
SEGMENTS = [["sil", 0.0, 0.2], ["ah", 0.2, 0.47], ["t", 0.613, 0.8]]
RECORD = {"start": None, "stop": None, "duration": 1.0, "segments": SEGMENTS}


@pytest.fixture(scope="module")
def fbank():
    return load("fbank")  # a frame every 10 ms


def labels(upstream, record=RECORD, pipes=(), index=0, **options):
    pipe = FrameLabels(upstream, LABELS, **options)
    dataset = ManifestDataset({"a": record}, [*pipes, pipe], ["id", "frame_labels"])
    return dataset[index]["frame_labels"]


def at(time, segments=SEGMENTS):
    """Index of the label at a time; naive."""
    for label, start, stop in segments:
        if start - 1e-9 <= time < stop - 1e-9:
            return LABELS.index(label)
    return UNKNOWN


@pytest.mark.parametrize("frame", [0.01, 0.0125, 0.02, 0.04, 0.3])
def test_a_frame_has_the_label_at_its_centre(frame, fbank):
    made = labels(fbank, frame_seconds=frame)
    assert made.dtype == torch.int64 and len(made) == count_frames(1.0, frame)
    assert made.tolist() == [at((i + 0.5) * frame) for i in range(len(made))]


def test_frames_of_the_upstream(fbank):
    """As many as it has, not as many as fit."""
    assert len(labels(fbank)) == fbank.frames(16000) == 98
    hubert = load("hubert_base", source=None, config={"num_layers": 1})
    made = labels(hubert)
    assert len(made) == hubert.frames(16000) == 49
    assert made.tolist() == [at((i + 0.5) * 0.02) for i in range(49)]


def test_one_label_of_an_utterance(fbank):
    record = {"start": 3.0, "stop": 3.1, "duration": 0.1, "label": "t"}
    assert labels(fbank, record, frame_seconds=0.02).tolist() == [2] * 5


def test_regions(fbank):
    record = {**RECORD, "regions": [[0.1, 0.3]]}
    made = labels(fbank, record, frame_seconds=0.1).tolist()
    assert made == [UNKNOWN, 1, 0, *[UNKNOWN] * 7]
    made = labels(fbank, {**RECORD, "regions": None}, frame_seconds=0.1)
    assert made.tolist() == labels(fbank, frame_seconds=0.1).tolist()


def test_any_number_of_labels(fbank):
    overlapping = [["ah", 0.0, 0.5], ["t", 0.3, 0.4]]
    record = {**RECORD, "segments": overlapping, "regions": [[0.0, 0.8]]}
    made = labels(fbank, record, frame_seconds=0.1, multi_label=True)
    assert made.dtype == torch.float32 and made.shape == (10, 3)
    assert made[:8, 0].tolist() == [1] * 5 + [0] * 3
    assert made[:8, 2].nonzero().tolist() == [[3]] and (made[8:] == UNKNOWN).all()
    with pytest.raises(ManifestError, match="'a': the segment of 'ah' until 0.5 s and"):
        labels(fbank, record, frame_seconds=0.1)


def test_chunks_of_a_segment_of_a_file(fbank):
    """Segments count from the start of the utterance, wherever it is in its file."""
    record = {**RECORD, "start": 7.0, "stop": 8.0}
    whole = labels(fbank, record, frame_seconds=0.01)
    cut = [UnfoldChunks(0.35)]
    chunks = [labels(fbank, record, cut, i, frame_seconds=0.01) for i in range(3)]
    assert [len(chunk) for chunk in chunks] == [35, 35, 30]
    assert torch.equal(torch.cat(chunks), whole)


def test_crops_and_speed_move_the_labels(fbank):
    record = {**RECORD, "wav": "a.wav"}  # it is not read
    loads = [LoadAudio(), ChangeSpeed([0.8]), RandomCrop(0.5, seed=3)]
    made = labels(fbank, record, loads, frame_seconds=0.01)
    dataset = ManifestDataset({"a": record}, loads, ["time_map"])
    time_map = dataset[0]["time_map"]
    assert len(made) == 50 and time_map.start > 0 and time_map.speed == 0.8
    centres = [time_map.start + 0.8 * (i + 0.5) * 0.01 for i in range(50)]
    assert made.tolist() == [at(time) for time in centres]


def test_segments_of_frames_are_the_segments(fbank):
    made = labels(fbank, frame_seconds=0.01)
    active = made[:, None] == torch.arange(3)
    rounded = [("sil", 0.0, 0.2), ("ah", 0.2, 0.47), ("t", 0.61, 0.8)]
    assert frame_segments(active, 0.01, LABELS, 1.0) == rounded


def test_segments_end_with_the_utterance():
    """Its last frame may be longer; what follows the last frame has no label."""
    active = torch.tensor([[True], [True], [True]])
    assert frame_segments(active, 0.01, ["ah"], 0.026) == [("ah", 0.0, 0.026)]
    assert frame_segments(active, 0.01, ["ah"], 0.04) == [("ah", 0.0, 0.03)]


# ------------------------------------------------------------------------ alignment
RATES = [(0.02, 0.01), (0.02, 0.0125), (0.01, 0.02), (0.01, 0.01), (0.03, 0.02)]


@pytest.mark.parametrize("stride, frame", RATES)
def test_alignment_is_by_the_centre(stride, frame):
    frames = torch.tensor([50, 31])
    features = torch.arange(100.0).reshape(2, 50, 1)
    seconds = frames * stride
    wanted = torch.tensor([count_frames(float(s), frame) + 3 for s in seconds])
    made = align(features, frames / 50, stride, frame, wanted)
    assert made.shape == (2, wanted.max(), 1)
    for row in range(2):
        places = [
            min(math.floor((i + 0.5) * frame / stride + 1e-9), int(frames[row]) - 1)
            for i in range(wanted[row])
        ]
        assert made[row, : wanted[row], 0].tolist() == [50 * row + p for p in places]


def test_alignment_has_gradients():
    features = torch.randn(1, 3, 2, requires_grad=True)
    align(features, torch.ones(1), 0.02, 0.01, torch.tensor([5])).sum().backward()
    assert features.grad[0, :, 0].tolist() == [2, 2, 1]
