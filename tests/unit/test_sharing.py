"""Several processes fill one cache: who takes which shard, and who waits."""

import threading
import time

import pytest
import torch

from s3prl_sb.dataio.cache import FeatureCache
from s3prl_sb.dataio.sharing import SharedShards


def shards(count):
    return [[{"key": f"k{n}", "id": f"u{n}", "seconds": 1.0}] for n in range(count)]


def entries(shard):
    return [(item["key"], item["id"], torch.ones(2, 1, 3)) for item in shard]


@pytest.fixture
def caches(tmp_path):
    """Two runs' views of one folder."""
    return [FeatureCache(tmp_path, {"kind": "frames"}) for _ in range(2)]


def test_each_shard_is_taken_once(caches):
    told = []
    one, other = (SharedShards(cache, shards(4), told.append) for cache in caches)
    first, second = one.take(), other.take()
    assert [s[0]["key"] for s in (first, second)] == ["k0", "k1"]
    caches[0].write(entries(first))
    assert other.take(wait=False)[0]["key"] == "k2" and told == [1.0]
    assert "k0" in caches[1]  # taken in, not computed
    assert one.take()[0]["key"] == "k3"
    assert one.take(wait=False) is None and other.take(wait=False) is None


def test_who_has_nothing_left_waits(caches):
    one, other = (SharedShards(cache, shards(1)) for cache in caches)
    shard = one.take()
    timer = threading.Timer(0.6, lambda: caches[0].write(entries(shard)))
    timer.start()
    began = time.monotonic()
    assert other.take() is None and time.monotonic() - began > 0.4
    assert torch.equal(caches[1]["k0"], torch.ones(2, 1, 3))


def test_what_is_given_up_is_taken_over(caches, tmp_path):
    """As after an error; a kill does the same, see tests/integration."""
    one, other = (SharedShards(cache, shards(1)) for cache in caches)
    assert one.take() and other.take(wait=False) is None
    one.give_up()
    caches[1].write(entries(other.take()))
    assert other.take() is None
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]


def test_a_broken_shard_is_made_anew(caches, caplog):
    """And said once, however long it is waited for."""
    path = caches[0].write(entries(shards(1)[0]))
    path.write_bytes(b"broken")
    one, other = (
        SharedShards(FeatureCache(path.parent, {"kind": "frames"}), shards(1))
        for _ in range(2)
    )
    shard = one.take()
    for _ in range(5):
        assert other.take(wait=False) is None
    assert caplog.text.count("broken cache shard") == 2  # each says it once
    one.cache.write(entries(shard))
    assert other.take() is None and "k0" in other.cache
