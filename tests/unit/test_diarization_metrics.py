"""Diarization errors against pyannote.metrics, and against a sum over fine frames."""

import itertools
import random

import numpy as np
import pytest
import torch

from s3prl_sb.metrics.diarization import (
    DiarizationErrors,
    corpus_errors,
    frame_errors,
    segment_errors,
)

OPTIONS = [(0.0, False), (0.25, False), (0.0, True), (0.125, True)]


def meeting(seed, speakers=4, count=15, step=1.0):
    """Segments whose speakers do not overlap with themselves."""
    draw = random.Random(seed)
    segments = []
    for speaker in range(speakers):
        edges = sorted(draw.sample(range(count * 8), 2 * count // speakers))
        pairs = zip(edges[::2], edges[1::2], strict=False)
        segments += [(a * step, b * step, f"s{speaker}") for a, b in pairs]
    draw.shuffle(segments)
    return segments


def by_brute_force(predicted, true, regions, collar, skip_overlap, step):
    """Activity in frames between which all boundaries lie; every pairing is tried."""
    times = [t for s in [*predicted, *true, *regions] for t in s[:2]]
    frames = np.arange(min(times) - collar, max(times) + collar, step) + step / 2

    def active(segments):
        return np.any([(a < frames) & (frames < b) for a, b in segments], axis=0)

    def matrix(segments, size):
        names = sorted({name for *_, name in segments})
        rows = [active([s[:2] for s in segments if s[2] == name]) for name in names]
        silent = [np.zeros(len(frames), dtype=bool)] * (size - len(rows))
        return np.array(rows + silent)

    size = max(len({s[2] for s in side}) for side in (predicted, true))
    found, wanted = matrix(predicted, size), matrix(true, size)
    scored = active(regions)
    if collar:
        edges = [edge for s in true for edge in s[:2]]
        scored &= ~active([(edge - collar, edge + collar) for edge in edges])
    if skip_overlap:
        scored &= wanted.sum(0) < 2
    found, wanted = found[:, scored], wanted[:, scored]
    best = max(
        (found[list(order)] & wanted).sum()
        for order in itertools.permutations(range(size))
    )
    n, m = found.sum(0), wanted.sum(0)
    return DiarizationErrors(
        missed=np.maximum(m - n, 0).sum() * step,
        false_alarm=np.maximum(n - m, 0).sum() * step,
        confusion=(np.minimum(n, m).sum() - best) * step,
        speech=m.sum() * step,
    )


def by_pyannote(predicted, true, regions, collar, skip_overlap):
    pytest.importorskip("pyannote.metrics")
    from pyannote.core import Annotation, Segment, Timeline
    from pyannote.metrics.diarization import DiarizationErrorRate

    def annotation(segments):
        made = Annotation()
        for track, (start, end, speaker) in enumerate(segments):
            made[Segment(start, end), track] = speaker
        return made

    # Its collar is the sum of both sides.
    metric = DiarizationErrorRate(collar=2 * collar, skip_overlap=skip_overlap)
    uem = regions and Timeline([Segment(*region) for region in regions])
    sides = annotation(true), annotation(predicted)
    parts = metric(*sides, uem=uem, detailed=True)
    return DiarizationErrors(
        parts["missed detection"],
        parts["false alarm"],
        parts["confusion"],
        parts["total"],
    )


def same(errors, expected, tolerance):
    for part in "missed", "false_alarm", "confusion", "speech":
        value = getattr(errors, part)
        assert value == pytest.approx(getattr(expected, part), abs=tolerance), part
    assert errors.rate == pytest.approx(expected.rate, abs=tolerance)


def rttm(path):
    recordings = {}
    for line in path.read_text().splitlines():
        _, recording, _, start, length, _, _, speaker, *_ = line.split()
        start = float(start)
        segment = (start, start + float(length), speaker)
        recordings.setdefault(recording, []).append(segment)
    return recordings


def uem(path):
    rows = [line.split() for line in path.read_text().splitlines()]
    return {row[0]: [(float(row[2]), float(row[3]))] for row in rows}


def system(true, seed):
    """Output of a poor system: other names, edges moved, parts lost or given
    to others, and some noise."""
    draw = random.Random(seed)
    names = sorted({speaker for *_, speaker in true})
    found = {}
    for start, end, speaker in sorted(true):
        if draw.random() < 0.15:
            continue
        if draw.random() < 0.25:
            speaker = draw.choice(names)
        start = max(0.0, start + draw.gauss(0, 0.3))
        end = end + draw.gauss(0, 0.3)
        name = 2 * names.index(speaker) + (draw.random() < 0.2)
        # A speaker does not overlap with itself.
        start = max([start, *(e for _, e in found.get(name, []))])
        if start < end:
            found.setdefault(name, []).append((start, end))
    found["noise"] = [(draw.uniform(0, 10), draw.uniform(11, 14))]
    return [(*span, name) for name, spans in found.items() for span in spans]


def test_a_collar_leaves_no_slivers():
    """7.24 + 0.25 and 7.74 - 0.25 are not the same in floating point."""
    predicted, true = [(1.74, 2.24, "x")], [(7.24, 7.74, "q"), (7.74, 8.24, "p")]
    errors = segment_errors(predicted, true, [(0, 20)], collar=0.25)
    assert errors.speech == 0 and errors.missed == 0
    errors = segment_errors([], [(7.24, 8.24, "q")], [(0, 20)], collar=0.25)
    assert errors.speech == pytest.approx(0.5)


@pytest.mark.parametrize("collar, skip_overlap", OPTIONS)
@pytest.mark.parametrize("seed", range(3))
def test_against_brute_force(seed, collar, skip_overlap):
    step = 0.125  # a power of two: the sums are exact
    predicted = meeting(seed, speakers=3 + seed % 2, step=step)
    true = meeting(seed + 100, step=step)
    regions = [(1.0, 7.5), (8.0, 13.0)]
    expected = by_brute_force(predicted, true, regions, collar, skip_overlap, step)
    errors = segment_errors(predicted, true, regions, collar, skip_overlap)
    same(errors, expected, 1e-9)
    assert errors.total > 0


@pytest.mark.filterwarnings("ignore:'uem' was approximated")
@pytest.mark.parametrize("collar, skip_overlap", OPTIONS)
@pytest.mark.parametrize("regions", [None, [(2.0, 31.7), (40.0, 77.7)]])
@pytest.mark.parametrize("seed", range(5))
def test_against_pyannote(seed, regions, collar, skip_overlap):
    predicted = meeting(seed, speakers=2 + seed, count=30, step=0.4321)
    true = meeting(seed + 100, count=30, step=0.4567)
    errors = segment_errors(predicted, true, regions, collar, skip_overlap)
    same(errors, by_pyannote(predicted, true, regions, collar, skip_overlap), 1e-6)


@pytest.mark.filterwarnings("ignore:'uem' was approximated")
@pytest.mark.parametrize("collar, skip_overlap", OPTIONS)
@pytest.mark.parametrize("split", ["train", "development", "test"])
def test_real_meetings(data_folder, split, collar, skip_overlap):
    folder = data_folder / "AMI_debug"
    meetings = rttm(folder / f"debug.{split}.rttm")
    regions = uem(folder / f"debug.{split}.uem")
    found = {name: system(true, seed=name) for name, true in meetings.items()}
    for scored in None, regions:
        total = DiarizationErrors()
        for name, true in meetings.items():
            region = scored and scored[name]
            expected = by_pyannote(found[name], true, region, collar, skip_overlap)
            errors = segment_errors(found[name], true, region, collar, skip_overlap)
            same(errors, expected, 1e-6)
            total += expected
        errors = corpus_errors(found, meetings, scored, collar, skip_overlap)
        same(errors, total, 1e-6)
        assert errors.rate > 0.05
    perfect = corpus_errors(meetings, meetings, regions, collar, skip_overlap)
    assert perfect.total == 0 and perfect.speech > 0


def test_boundaries_are_exact():
    errors = segment_errors([(0.0, 1.0, 1)], [(0.0, 1.0 + 1e-9, "a")])
    assert errors.missed == pytest.approx(1e-9, rel=1e-6) and errors.false_alarm == 0


def test_the_best_pairing_is_not_the_greedy_one():
    """The longest overlap of all, 5 s, would leave the other pair with nothing."""
    true = [(0.0, 9.0, "a"), (9.0, 13.0, "b")]
    predicted = [(0.0, 4.0, 2), (4.0, 9.0, 1), (9.0, 13.0, 1)]
    assert segment_errors(predicted, true).confusion == 5
    assert segment_errors(predicted[::-1], true[::-1]).confusion == 5


def test_a_collar_is_of_either_side():
    true, predicted = [(1.0, 3.0, "a")], [(1.25, 3.0, "x")]
    assert segment_errors(predicted, true, [(0.0, 4.0)], 0.25).total == 0
    errors = segment_errors(predicted, true, [(0.0, 4.0)], 0.125)
    assert (errors.missed, errors.speech) == (0.125, 1.75)


def test_a_speaker_speaks_once():
    """Segments of a speaker that overlap or touch are one."""
    pieces = [(0.0, 2.0, "a"), (1.0, 3.0, "a"), (3.0, 4.0, "a"), (4.0, 4.0, "b")]
    whole = [(0.0, 4.0, "a")]
    expected = DiarizationErrors(speech=4.0)
    assert segment_errors(pieces, whole) == expected
    assert segment_errors(whole, pieces, skip_overlap=True) == expected


def test_nothing_found_and_nothing_said():
    assert segment_errors([], [(0.0, 2.0, "a")]) == DiarizationErrors(2, 0, 0, 2)
    alarm = segment_errors([(0.0, 2.0, 1)], [])
    assert alarm == DiarizationErrors(false_alarm=2.0)
    with pytest.raises(ValueError, match="no speech"):
        alarm.rate
    assert segment_errors([], []) == DiarizationErrors()
    nowhere = segment_errors([(0.0, 2.0, 1)], [(0.0, 2.0, "a")], regions=[])
    assert nowhere == DiarizationErrors()


@pytest.mark.parametrize("start, end", [(2.0, 1.0), (0.0, float("nan"))])
def test_broken_segments(start, end):
    whole = [(0.0, 3.0, "a")]
    with pytest.raises(ValueError, match=f"recording 'r': a segment from {start}"):
        corpus_errors({"r": [(start, end, 1)]}, {"r": whole})
    with pytest.raises(ValueError, match="a segment from"):
        segment_errors(whole, whole, regions=[(start, end)])
    with pytest.raises(ValueError, match="a collar of -1"):
        segment_errors(whole, whole, collar=-1)


def test_other_recordings():
    whole = [(0.0, 3.0, "a")]
    with pytest.raises(ValueError, match="1 without a prediction: 'b'"):
        corpus_errors({"a": whole}, {"a": whole, "b": whole})
    with pytest.raises(ValueError, match="no regions of 1 recordings, as of 'a'"):
        corpus_errors({"a": whole}, {"a": whole}, regions={"b": [(0.0, 1.0)]})


@pytest.mark.parametrize("speakers", [1, 2, 4])
def test_frames_against_a_loop(speakers):
    predicted, true = torch.randint(2, (2, 200, speakers))

    def errors_of(order):
        missed = false_alarm = confusion = speech = 0
        for found, wanted in zip(predicted[:, list(order)], true, strict=True):
            n, m = int(found.sum()), int(wanted.sum())
            speech += m
            missed += max(m - n, 0)
            false_alarm += max(n - m, 0)
            confusion += min(n, m) - int((found * wanted).sum())
        return DiarizationErrors(missed, false_alarm, confusion, speech)

    orders = list(itertools.permutations(range(speakers)))
    assert frame_errors(predicted, true, align=False) == errors_of(orders[0])
    best = min(map(errors_of, orders), key=lambda errors: errors.rate)
    assert frame_errors(predicted, true) == best
    assert frame_errors(predicted.numpy(), true.bool()) == best


def test_frames_and_segments_agree():
    true = meeting(1, step=1)
    predicted = meeting(2, speakers=2, step=1)

    def frames(segments):
        names = sorted({name for *_, name in segments})
        labels = torch.zeros(120, len(names))
        for start, end, name in segments:
            labels[start:end, names.index(name)] = 1
        return labels

    assert frame_errors(frames(predicted), frames(true)) == segment_errors(
        predicted, true, regions=[(0, 120)]
    )


def test_broken_labels():
    labels = torch.ones(5, 2)
    with pytest.raises(ValueError, match="5 frames are predicted, 4 are true"):
        frame_errors(labels, labels[:4])
    with pytest.raises(ValueError, match="2 speakers cannot be paired by number"):
        frame_errors(labels, labels[:, :1], align=False)
    with pytest.raises(ValueError, match="other than 0 and 1"):
        frame_errors(labels / 2, labels)
    with pytest.raises(ValueError, match=r"shape \(5,\)"):
        frame_errors(labels[:, 0], labels[:, 0])
