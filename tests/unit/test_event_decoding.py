import numpy as np
import pytest
import torch

from s3prl_sb.dataio.frame_labels import frame_segments
from s3prl_sb.lobes.event_decoding import decode_events, smooth

LABELS = ["a dog", "cat"]


@pytest.mark.parametrize("width", [3, 4, 7, 12])
def test_the_median_of_frames_is_that_of_sorted_windows(width):
    values = np.random.default_rng(width).random((30, 2)).astype("float32")
    padded = np.pad(values, ((width, width), (0, 0)), mode="symmetric")
    windows = [
        padded[width + i - width // 2 : width + i - width // 2 + width]
        for i in range(30)
    ]
    expected = [np.sort(window, axis=0)[width // 2] for window in windows]
    assert np.array_equal(smooth(values, 0.02, width * 0.02), expected)


def test_a_median_for_each_label():
    values = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    assert smooth(values, 0.1, [0.1, 0.3]).tolist() == [[0, 0], [1, 0], [0, 0]]
    assert values[1, 1] == 1.0  # the argument is not changed


def test_equals_segments_of_active_frames():
    values = torch.rand(200, 2, generator=torch.Generator().manual_seed(1))
    events = decode_events(values, LABELS, 0.02, 0.6, duration=3.991)
    assert events == frame_segments(values > 0.6, 0.02, LABELS, 3.991)
    assert len(events) > 20


def test_filter_and_threshold_commute():
    values = np.random.default_rng(0).random((100, 2))
    first = decode_events(smooth(values, 0.02, 0.1), LABELS, 0.02, 0.5)
    binary = (values > 0.5).astype(float)
    assert first == decode_events(binary, LABELS, 0.02, 0.5, median_seconds=0.1)


def test_shortest_event_and_threshold_for_each_label():
    values = np.array([[0.9, 0.9], [0.0, 0.9], [0.9, 0.0], [0.9, 0.0], [0.9, 0.6]])
    assert decode_events(values, LABELS, 0.1, min_seconds=0.3) == [("a dog", 0.2, 0.5)]
    assert decode_events(values, LABELS, 0.1, [0.95, 0.7], min_seconds=[0, 0.2]) == [
        ("cat", 0.0, 0.2)
    ]


def test_no_frames_and_frames_after_the_end():
    assert decode_events(np.zeros((0, 2)), LABELS, 0.02) == []
    values = np.array([[0.9, 0.0], [0.0, 0.0], [0.0, 0.9]])
    assert decode_events(values, LABELS, 1.0, duration=2.0) == [("a dog", 0.0, 1.0)]
