"""Batches by the step: a pure function of the epoch, shared without loss."""

import collections
import itertools

import pytest

from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.dataio.sampler import SecondsSampler, StepSampler, make_sampler
from s3prl_sb.errors import UserError


def epoch(number, rank=None, processes=None, monkeypatch=None, **options):
    """The batches of an epoch, as a fresh process would draw them."""
    if monkeypatch:
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", str(processes))
    sampler = StepSampler(**{"size": 10, "batch_size": 4, "steps": 6, **options})
    sampler.set_epoch(number)
    batches = list(sampler)
    assert len(batches) == len(sampler) == sampler.steps
    return batches


def stream(epochs=5, **options):
    numbered = (epoch(number, **options) for number in range(1, epochs + 1))
    return [pair for batches in numbered for batch in batches for pair in batch]


@pytest.mark.parametrize("labels", [None, list("aaaaaaaabc")])
def test_pure_function_of_the_epoch(labels):
    sampler = StepSampler(10, 4, 6, labels=labels)
    drawn = {}
    for number in (1, 2, 3, 2, 1, 7, 3):
        sampler.set_epoch(number)
        batches = list(sampler)
        assert drawn.setdefault(number, batches) == batches
        assert batches == epoch(number, labels=labels)
        assert list(sampler) == batches  # nothing is used up
    assert drawn[1] != drawn[2]
    interrupted = iter(sampler)
    next(interrupted)
    assert list(sampler) == drawn[3]


def test_seeds():
    assert epoch(1, seed=1) == epoch(1, seed=1) != epoch(1, seed=2)


@pytest.mark.parametrize(
    "size, batch_size, steps", [(10, 4, 6), (3, 8, 5), (1, 4, 2), (7, 7, 3)]
)
def test_passes_without_loss(size, batch_size, steps):
    pairs = stream(size=size, batch_size=batch_size, steps=steps)
    assert [draw for _, draw in pairs] == list(range(5 * batch_size * steps))
    for first in range(0, len(pairs) - size + 1, size):
        one_pass = [index for index, _ in pairs[first : first + size]]
        assert sorted(one_pass) == list(range(size))
    orders = {
        tuple(i for i, _ in pairs[f : f + size]) for f in range(0, len(pairs), size)
    }
    assert size < 7 or len(orders) > 10  # reshuffled each time


@pytest.mark.parametrize("processes", [1, 2, 4])
@pytest.mark.parametrize("labels", [None, list("aaaaaaaabc")])
def test_processes_partition_each_batch(processes, labels, monkeypatch):
    whole = epoch(3, 0, 1, monkeypatch, labels=labels)
    shares = [
        epoch(3, rank, processes, monkeypatch, labels=labels)
        for rank in range(processes)
    ]
    for step, batch in enumerate(whole):
        parts = [share[step] for share in shares]
        assert {len(part) for part in parts} == {4 // processes}
        assert list(itertools.chain(*parts)) == batch


def test_unequal_shares_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ValueError, match="batch_size 4 cannot be shared equally by 3"):
        StepSampler(10, 4, 6)


def test_balanced_draws():
    """Classes of 900, 90 and 10: each a third of the draws, within four deviations."""
    labels = ["a"] * 900 + ["b"] * 90 + ["c"] * 10
    pairs = stream(10, size=1000, batch_size=100, steps=60, labels=labels)
    count = len(pairs)
    counts = collections.Counter(labels[index] for index, _ in pairs)
    deviation = (count * (1 / 3) * (2 / 3)) ** 0.5
    for label in "abc":
        assert abs(counts[label] - count / 3) < 4 * deviation
    rare = collections.Counter(index for index, _ in pairs if labels[index] == "c")
    expected = count / 30
    assert len(rare) == 10
    assert all(abs(n - expected) < 4.5 * expected**0.5 for n in rare.values())


def test_unbalanced_draws_are_uniform():
    counts = collections.Counter(
        index for index, _ in stream(size=13, batch_size=5, steps=100)
    )
    assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("sizes", [(0, 1, 1), (1, 0, 1), (1, 1, 0), (-1, 1, 1)])
def test_bad_sizes(sizes):
    with pytest.raises(ValueError, match="all must be positive"):
        StepSampler(*sizes)


# ------------------------------------------------------------- batches by seconds
DURATIONS = [1.0, 5.0, 1.5, 2.0, 9.0, 1.0, 0.5, 3.0, 2.5, 1.0]


def test_batches_of_seconds_hold_no_more_than_that():
    sampler = SecondsSampler(DURATIONS, batch_seconds=6, steps=50)
    for batch in sampler:
        lengths = [DURATIONS[index] for index, _ in batch]
        assert len(lengths) == 1 or len(lengths) * max(lengths) <= 6


def test_each_pass_of_seconds_goes_over_each_utterance_once():
    sampler = SecondsSampler(DURATIONS, batch_seconds=6, steps=1)
    sampler.steps = len(sampler.batches)
    orders = []
    for number in (1, 2, 3):
        sampler.set_epoch(number)
        pairs = [pair for batch in sampler for pair in batch]
        assert sorted(index for index, _ in pairs) == list(range(10))
        assert {draw for _, draw in pairs} == {number - 1}
        orders.append([index for index, _ in pairs])
    assert orders[0] != orders[1] != orders[2]


def test_epochs_of_seconds_are_cut_from_one_stream():
    whole = SecondsSampler(DURATIONS, 6, steps=30, seed=3)
    parts = SecondsSampler(DURATIONS, 6, steps=10, seed=3)
    found = []
    for number in (1, 2, 3):
        parts.set_epoch(number)
        found += list(parts)
    assert found == list(whole)
    assert found != list(SecondsSampler(DURATIONS, 6, steps=30, seed=4))


def test_processes_share_the_seconds(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    streams = []
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        sampler = SecondsSampler(DURATIONS, batch_seconds=12, steps=1)
        sampler.steps = len(sampler.batches)  # two passes over both
        streams.append([pair for batch in sampler for pair in batch])
        lengths = [[DURATIONS[index] for index in b] for b in sampler.batches]
        assert all(len(b) == 1 or len(b) * max(b) <= 6 for b in lengths)
    twice = [(index, turn) for index in range(10) for turn in (0, 1)]
    assert sorted(streams[0] + streams[1]) == twice


def test_the_longest_batch_comes_first_to_mind():
    assert StepSampler(10, 3, 1).longest(DURATIONS) == [4, 1, 7]
    sampler = SecondsSampler([4.0, 3.9, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], 8, steps=1)
    assert sorted(sampler.longest([4.0, 3.9] + [1.0] * 6)) == [0, 1]


def test_seconds_that_cannot_be():
    for durations, seconds, steps in (([], 1, 1), ([1.0], 0, 1), ([1.0], 1, 0)):
        with pytest.raises(ValueError, match="must be positive"):
            SecondsSampler(durations, seconds, steps)
    dataset = ManifestDataset({"a": {"label": "x", "duration": 1.0}})
    with pytest.raises(UserError, match="exclude each other"):
        make_sampler(dataset, 4, 1, batch_seconds=3, balance="label")
    with pytest.raises(UserError, match="'speaker' is no key.*label"):
        make_sampler(dataset, 4, 1, balance="speaker")


def test_what_is_asked_for_is_made():
    labels = "xxy"
    records = {f"{i}": {"label": x, "duration": 1.0} for i, x in enumerate(labels)}
    dataset = ManifestDataset(records)
    plain = make_sampler(dataset, 4, 2, seed=3)
    assert (plain.size, plain.batch_size, plain.steps, plain.seed) == (3, 4, 2, 3)
    assert isinstance(plain, StepSampler) and plain.weights is None
    balanced = make_sampler(dataset, 4, 1, balance="label", seed=3)
    assert balanced.weights.tolist() == [0.5, 0.5, 1] and balanced.seed == 3
    seconds = make_sampler(dataset, 4, 5, batch_seconds=2, seed=3)
    assert isinstance(seconds, SecondsSampler) and seconds.seed == 3
    assert seconds.steps == 5 and sorted(map(len, seconds.batches)) == [1, 2]
