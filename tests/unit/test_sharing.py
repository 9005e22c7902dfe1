"""Several processes fill one cache: who computes which shard, and who waits."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
import torch

from s3prl_sb.dataio import pool, sharing
from s3prl_sb.dataio.cache import FeatureCache
from s3prl_sb.dataio.sharing import complete, fill, keys_of


def shards(count):
    return [[{"key": f"k{n}", "id": f"u{n}", "seconds": 1.0}] for n in range(count)]


def entries(shard):
    return [(item["key"], item["id"], torch.ones(2, 1, 3)) for item in shard]


@pytest.fixture
def caches(tmp_path):
    """Two runs' views of one folder."""
    return [FeatureCache(tmp_path, {"kind": "frames"}) for _ in range(2)]


class Run:
    """A run that fills a cache here, and notes what it computes."""

    def __init__(self, cache, before=lambda shard: None):
        self.cache, self.before = cache, before
        self.computed, self.finished = [], []

    def compute(self, shard):
        self.before(shard)
        self.computed += keys_of(shard)
        return entries(shard)

    def fill(self, of, **options):
        submit = pool.here(lambda shard: complete(self.cache, shard, self.compute))
        note = lambda shard: self.finished.extend(keys_of(shard))  # noqa: E731
        fill(self.cache, of, submit, 1, note, **options)


def test_each_shard_is_computed_once(caches):
    """One run is in the middle of its first shard when the other one begins."""
    two = Run(caches[1])
    ended = []

    def begin(shard):
        if shard[0]["key"] == "k0":
            thread = threading.Thread(target=two.fill, args=(shards(4),))
            thread.start()
            ended.append(thread)
            while len(two.computed) < 3:
                time.sleep(0.01)

    one = Run(caches[0], begin)
    one.fill(shards(4))
    ended[0].join()
    assert one.computed == ["k0"] and two.computed == ["k1", "k2", "k3"]
    assert one.finished == ["k0", "k1", "k2", "k3"]
    assert sorted(two.finished) == one.finished  # taken in, not computed
    assert all(f"k{n}" in cache for n in range(4) for cache in caches)


def test_who_has_nothing_left_waits(caches, caplog):
    caplog.set_level("INFO")
    [shard] = shards(1)
    assert caches[0].claim(keys_of(shard))
    timer = threading.Timer(0.6, lambda: caches[0].write(entries(shard)))
    timer.start()
    began, run = time.monotonic(), Run(caches[1])
    run.fill([shard])
    assert time.monotonic() - began > 0.4 and not run.computed
    assert torch.equal(caches[1]["k0"], torch.ones(2, 1, 3))
    assert caplog.text.count("Waits for the last features, 1 utterances") == 1


def test_what_is_given_up_is_taken_over(caches, tmp_path):
    """As after an error; a kill does the same, see tests/integration."""

    def fail(shard):
        if not complete(caches[1], shard, entries):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Run(caches[0], fail).fill(shards(1))
    run = Run(caches[1])
    run.fill(shards(1))
    assert run.computed == ["k0"]
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]


def test_a_broken_shard_is_made_again(caches, caplog, monkeypatch):
    """And said once, however long it is waited for."""
    monkeypatch.setattr(sharing, "PAUSE", 0.01)
    [shard] = shards(1)
    path = caches[0].write(entries(shard))
    path.write_bytes(b"broken")
    fresh = FeatureCache(path.parent, {"kind": "frames"})
    assert caches[0].claim(keys_of(shard))
    timer = threading.Timer(0.3, lambda: caches[0].write(entries(shard)))
    timer.start()
    run = Run(fresh)
    run.fill([shard])
    assert caplog.text.count("broken cache shard") == 1
    assert not run.computed and "k0" in fresh
    path.write_bytes(b"broken")
    again = Run(FeatureCache(path.parent, {"kind": "frames"}))
    again.fill([shard])
    assert again.computed == ["k0"] and "k0" in again.cache


@pytest.mark.parametrize("most", [1, 3, 20])
def test_no_more_shards_are_out_than_asked_for(most, caches):
    """Whatever executes them, in whatever order."""
    out, seen = 0, []
    with ThreadPoolExecutor(4) as executor:

        def submit(shard):
            nonlocal out
            out += 1
            seen.append(out)
            future = executor.submit(complete, FeatureCache(folder, {}), shard, entries)
            future.add_done_callback(done)
            return future

        def done(future):
            nonlocal out
            out -= 1

        folder, cache = caches[0].folder, FeatureCache(caches[0].folder, {})
        fill(cache, shards(12), submit, most)
    assert max(seen) <= most and len(cache) == 12


def test_a_shard_that_cannot_be_seen_yet_is_asked_for_again(caches, monkeypatch):
    """As on a network file system, whose view of a folder may be old."""
    monkeypatch.setattr(sharing, "PAUSE", 0.01)
    asked = []

    def submit(shard):
        asked.append(keys_of(shard))
        if len(asked) == 2:
            caches[0].write(entries(shard))
        future = Future()
        future.set_result(True)
        return future

    fill(caches[1], shards(1), submit, 1)
    assert len(asked) == 2 and "k0" in caches[1]


def test_an_error_elsewhere_is_raised(caches):
    def submit(shard):
        future = Future()
        future.set_exception(ValueError(shard[0]["id"]))
        return future

    with pytest.raises(ValueError, match="u[01]"):
        fill(caches[0], shards(3), submit, 2)
