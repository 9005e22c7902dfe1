"""Computation of shards, in this process or in several, which end with this one.

Workers write their shards themselves: only names go through pipes, so neither memory
nor open files grow with the number of shards.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import io
import multiprocessing
import pickle
import uuid
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool

import torch

from s3prl_sb.dataio.cache import CacheError
from s3prl_sb.processes.children import Leash, follow, shielded
from s3prl_sb.storage import parts
from s3prl_sb.storage.tensor_files import read_tensors


def here(job):
    """Returns a function that runs a job in this process.

    Arguments
    ---------
    job : callable
        Called with a shard.

    Returns
    -------
    callable
        Takes a shard; returns a future that is done.

    Example
    -------
    >>> here(len)([1, 2]).result()
    2
    """

    def submit(shard):
        future = futures.Future()
        future.set_result(job(shard))
        return future

    return submit


@contextlib.contextmanager
def processes(job, number, folder):
    """Starts processes that run a job.

    Arguments
    ---------
    job : callable
        Called with a shard in one of the processes; each of them calls its
        ``begin(number, processes)`` first.
    number : int
        Number of processes.
    folder : str
        Folder of the cache. The weights are written there meanwhile, so that all
        processes map one copy of them.

    Yields
    ------
    callable
        Takes a shard; returns a future of the job's result.

    Raises
    ------
    CacheError
        If a process was killed.
    """
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    # The processes end with this block, even in the middle of a shard.
    with (
        parts.Part(f"{folder}/job-{uuid.uuid4().hex}") as part,
        Leash(context) as leash,
    ):
        pickled = _pickled(job, part.path)
        counter = context.Value("i", 0)
        arguments = (pickled, str(part.path), leash.end, counter, number)
        pool = futures.ProcessPoolExecutor(number, context, _begin, arguments)

        def submit(shard):
            with shielded():  # it may start a process
                return pool.submit(_run, shard)

        try:
            yield submit
            pool.shutdown()
        except BrokenProcessPool as error:
            raise CacheError(
                f"One of the {number} processes was killed, perhaps for want of "
                "memory: try fewer. What is finished is kept."
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            # Those that are still starting do not follow the leash yet.
            workers = set(multiprocessing.active_children()) - others
            for process in workers:
                process.kill()
            for process in workers:
                process.join()
            parts.clear(folder)  # of shards that they were writing


class _Pickler(pickle.Pickler):
    """Pickles an object without its tensors, which are left in ``tensors``."""

    def __init__(self, file):
        super().__init__(file)
        self.file, self.tensors, self.numbers = file, [], {}

    def persistent_id(self, value):
        if type(value) not in (torch.Tensor, torch.nn.Parameter):
            return None
        if id(value) not in self.numbers:
            self.numbers[id(value)] = len(self.tensors)
            self.tensors.append(value)
        return self.numbers[id(value)]


class _Unpickler(pickle.Unpickler):
    """Reads what :class:`_Pickler` wrote."""

    def __init__(self, file, tensors):
        super().__init__(file)
        self.tensors = tensors

    def persistent_load(self, number):
        return self.tensors[number]


def _pickled(job, path):
    """Returns a job in bytes; its tensors are written to a file."""
    pickler = _Pickler(io.BytesIO())
    pickler.dump(job)
    try:
        torch.save(pickler.tensors, path)
    except (OSError, RuntimeError) as error:  # RuntimeError: torch's, of a full disk
        raise CacheError(
            f"'{path}' cannot be written: {error}. Make room for the weights of the "
            "upstream, or take one process."
        ) from error
    return pickler.file.getvalue()


def _begin(job, path, leash, counter, processes):
    global _job
    follow(leash)
    with counter.get_lock():
        number, counter.value = counter.value, counter.value + 1
    # Mapped: tensors that are sent take an open file each.
    tensors = read_tensors(path, "weights for workers", mapped=True)
    _job = _Unpickler(io.BytesIO(job), tensors).load()
    _job.begin(number, processes)


def _run(shard):
    return _job(shard)
