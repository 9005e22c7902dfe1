"""The index of a cache against a dict, in every state of its arrays."""

import random
from pathlib import Path

import pytest

from s3prl_sb.dataio import cache_index
from s3prl_sb.dataio.cache_index import CacheIndex


@pytest.mark.parametrize("recent", [0, 3, 1000])
@pytest.mark.parametrize("seed", range(3))
def test_as_a_dict(recent, seed, monkeypatch):
    """Files are added, replaced and dropped; keys are in several of them."""
    monkeypatch.setattr(cache_index, "RECENT", recent)
    draw = random.Random(seed)
    index, files = CacheIndex(), {}
    for turn in range(60):
        path = Path(f"{draw.randrange(12)}")
        files.pop(path, None)  # a file that is made again is the newest
        if draw.random() < 0.2:
            index.drop(path)
            continue
        keys = [f"k{draw.randrange(40)}" for _ in range(draw.randrange(6))]
        keys = list(dict.fromkeys(keys))
        frames = [draw.randrange(9) for _ in keys]
        sums = [draw.randrange(2**32) for _ in keys]
        index.add(path, keys, frames, sums, verified=turn % 2 == 0)
        places = {
            key: (path, sum(frames[:n]), frames[n], sums[n], turn % 2 == 0)
            for n, key in enumerate(keys)
        }
        files[path] = places
        expected = {key: p for places in files.values() for key, p in places.items()}
        for key in [f"k{n}" for n in range(41)]:
            found = index.find(key)
            assert (found is None) == (key not in expected), (turn, key)
            if found is not None:
                where = (found.path, found.first, found.frames, found.checksum)
                assert (*where, index.is_verified(found.row)) == expected[key]
        assert len(index) == len(expected)


@pytest.mark.parametrize("recent", [0, 1000])
def test_equal_hashes_of_two_keys(recent, monkeypatch):
    """Half of a key's bits may collide: no other features are given out."""

    class Key(str):
        def __hash__(self):
            return 7

        __eq__ = str.__eq__

        def __getitem__(self, part):
            return str(self)[part]

    monkeypatch.setattr(cache_index, "RECENT", recent)
    index = CacheIndex()
    index.add(Path("a"), [Key("one"), Key("two")], [1, 2], [0, 0])
    assert [index.find(Key(name)).frames for name in ("one", "two")] == [1, 2]
    assert index.find(Key("three")) is None and len(index) == 2


@pytest.mark.parametrize(
    "frames, checksums",
    [(["7"], [0]), ([None], [0]), ([7], [-1]), ([7], [2**64]), ([2**63], [0])],
)
def test_numbers_that_are_none(frames, checksums):
    index = CacheIndex()
    index.add(Path("a"), ["k"], [1], [0])
    with pytest.raises((TypeError, OverflowError)):
        index.add(Path("a"), ["k"], frames, checksums)
    assert index.find("k").frames == 1 and len(index) == 1
