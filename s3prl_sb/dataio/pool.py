"""Computation of shards in several processes, which end with this one.

Authors
 * The s3prl_sb developers, 2026
"""

import multiprocessing
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool

from s3prl_sb.dataio.cache import CacheError
from s3prl_sb.processes.children import Leash, follow


def compute(job, shared, num_processes):
    """Computes the shards that this process claims.

    Arguments
    ---------
    job : object
        Sent to every process, which calls ``begin(number, processes)`` once and
        ``entries(shard)`` for each shard.
    shared : s3prl_sb.dataio.sharing.SharedShards
        Source of the shards.
    num_processes : int
        Number of processes.

    Yields
    ------
    shard : list of dict
        A shard of ``shared``.
    entries : list
        Result of the job.

    Raises
    ------
    CacheError
        If a process was killed.
    """
    context, running = multiprocessing.get_context("spawn"), {}
    others = set(multiprocessing.active_children())
    # The processes end with this block, even in the middle of a shard.
    with Leash(context) as leash:
        arguments = (job, leash.end, context.Value("i", 0), num_processes)
        pool = futures.ProcessPoolExecutor(num_processes, context, _begin, arguments)
        try:
            while True:
                # One more than the processes, so that none is idle.
                while len(running) <= num_processes:
                    shard = shared.take(wait=not running)
                    if shard is None:
                        break
                    running[pool.submit(_entries, shard)] = shard
                if not running:
                    break
                done, _ = futures.wait(running, return_when=futures.FIRST_COMPLETED)
                for future in done:
                    yield running.pop(future), future.result()
            pool.shutdown()
        except BrokenProcessPool as error:
            raise CacheError(
                f"One of the {num_processes} processes was killed, perhaps for want of "
                "memory: try fewer. What is finished is kept."
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            # Those that are still starting do not follow the leash yet.
            for process in set(multiprocessing.active_children()) - others:
                process.kill()


def _begin(job, leash, counter, processes):
    global _job
    follow(leash)
    with counter.get_lock():
        number, counter.value = counter.value, counter.value + 1
    job.begin(number, processes)
    _job = job


def _entries(shard):
    return _job.entries(shard)
