"""Workers of an extraction: what they are sent, and how they end."""

import os
import resource
import signal

import pytest
import torch

from s3prl_sb.dataio import pool, shards
from s3prl_sb.dataio.audio import AudioFileError
from s3prl_sb.dataio.cache import CacheError, FeatureCache
from s3prl_sb.dataio.sharing import complete, fill

DESCRIPTION = {"kind": "frames"}


class Job:
    """Writes shards of ones; the id of an item may ask for something else."""

    def __init__(self, folder, tensors=()):
        self.folder, self.tensors = folder, list(tensors)

    def begin(self, number, processes):
        self.number = number

    def __call__(self, shard):
        asked = shard[0]["id"]
        if hasattr(self, asked):
            return getattr(self, asked)()
        cache = FeatureCache(self.folder, DESCRIPTION, opens=False)
        return complete(cache, shard, self.entries)

    def entries(self, shard):
        asked = shard[0]["id"]
        if asked == "unreadable":
            raise AudioFileError("utterance 'unreadable' (a.wav): no such file")
        if asked == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if asked == "full":
            shards.write = full
        return [(item["key"], item["id"], torch.ones(2, 1, 3)) for item in shard]

    def interruptible(self):
        """Says whether Ctrl-C has reached this process since it was started."""
        return signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())

    def look(self):
        """Returns the sums of the tensors, which are tied and laid out as before."""
        a, tied, transposed, parameter = self.tensors[:4]
        assert a is tied and transposed.stride() == (1, 4)
        assert isinstance(parameter, torch.nn.Parameter)
        assert not parameter.requires_grad
        return [float(tensor.sum()) for tensor in self.tensors]


def full(path, *rest):
    path.write_bytes(b"half of it")
    raise OSError(28, "No space left on device")


def shard(name):
    return [{"key": f"key of {name}", "id": name}]


def test_errors_in_a_worker(tmp_path):
    """They are those of this process; others' claims and what is finished stay."""
    other, cache = (FeatureCache(tmp_path, DESCRIPTION) for _ in range(2))
    assert other.claim(["key of theirs"])
    with pytest.raises(AudioFileError, match="'unreadable'"):
        with pool.processes(Job(tmp_path), 1, tmp_path) as submit:
            assert submit(shard("a")).result() is True
            assert submit(shard("interruptible")).result() is False
            assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
            assert submit(shard("theirs")).result() is False
            with pytest.raises(CacheError, match="No space left .* make room"):
                submit(shard("full")).result()
            assert cache.has_shard(["key of a"]) and len(cache) == 1
            submit(shard("unreadable")).result()
    assert len(list(tmp_path.iterdir())) == 2  # the shard and the claim
    other.give_up(["key of theirs"])


def test_a_worker_that_is_killed(tmp_path):
    """Its shard is free at once, and nothing of it is left."""
    cache = FeatureCache(tmp_path, DESCRIPTION)
    with pytest.raises(CacheError, match="One of the 1 processes was killed"):
        with pool.processes(Job(tmp_path), 1, tmp_path) as submit:
            fill(cache, [shard("a"), shard("killed")], submit, 2)
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]
    assert cache.claim(["key of killed"])


def test_weights_are_mapped_and_not_sent(tmp_path):
    """However many there are: a tensor that is sent takes an open file."""
    a = torch.randn(5)
    frozen = torch.nn.Parameter(torch.randn(2), requires_grad=False)
    tensors = [a, a, torch.randn(3, 4).T, frozen, *torch.randn(200, 3).unbind()]
    kept = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = len(os.listdir("/proc/self/fd")) + 60
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, kept[1]))
        with pool.processes(Job(tmp_path, tensors), 1, tmp_path) as submit:
            sums = submit(shard("look")).result()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, kept)
    assert sums == [float(tensor.sum()) for tensor in tensors]
    assert not list(tmp_path.iterdir())


def test_no_room_for_the_weights(tmp_path, monkeypatch):
    def fail(value, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(CacheError, match="No space left.*Make room"):
        with pool.processes(Job(tmp_path), 1, tmp_path):
            raise AssertionError("no process was needed")
    assert not list(tmp_path.iterdir())
