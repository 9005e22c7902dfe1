"""Shared extraction: several runs fill one cache, each shard is computed by one.

A process claims a shard before it computes it, and others do something else meanwhile.
A run waits only when all remaining shards are claimed by others, and it has no claim
itself then, so there is no deadlock. A claim ends with its process: the shards of a
killed run are computed by others.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any

from s3prl_sb.dataio.cache import FeatureCache

logger = logging.getLogger(__name__)

PAUSE = 0.2  # seconds between two checks of the shards of others

Shard = list[dict[str, Any]]  # items with a ``key``


def complete(
    cache: FeatureCache, shard: Shard, compute: Callable[[Shard], list]
) -> bool:
    """Computes and writes a shard, unless another process has or does.

    Arguments
    ---------
    cache : FeatureCache
        The cache; other processes may write to its folder.
    shard : list of dict
        Items with ``key``.
    compute : callable
        Returns the entries of a shard, see :meth:`FeatureCache.write`.

    Returns
    -------
    bool
        Whether the shard is complete; otherwise another process is writing it.
    """
    keys = keys_of(shard)
    if cache.has_shard(keys):
        return True
    if not cache.claim(keys):
        return False
    try:
        if not cache.has_shard(keys):  # written since
            cache.write(compute(shard))
    finally:
        cache.give_up(keys)
    return True


def fill(
    cache: FeatureCache,
    shards: Sequence[Shard],
    submit: Callable[[Shard], futures.Future],
    most: int,
    finished: Callable[[Shard], None] = lambda shard: None,
) -> None:
    """Completes a cache by shards that are computed elsewhere.

    Arguments
    ---------
    cache : FeatureCache
        The cache, which has all shards afterwards.
    shards : sequence of list of dict
        Shards to compute.
    submit : callable
        Takes a shard; returns the future of :func:`complete`.
    most : int
        Number of shards that are submitted at once.
    finished : callable
        Called with each complete shard, also of another process.
    """
    waiting, others = deque(range(len(shards))), deque[int]()
    running: dict[futures.Future, tuple[int, Shard]] = {}
    is_logged = False
    while waiting or others or running:
        while waiting and len(running) < most:
            # Processes start at the same end, where the shards of others are.
            number = waiting.popleft()
            shard = shards[number]
            if cache.has_shard(keys_of(shard)):
                finished(shard)
            else:
                running[submit(shard)] = number, shard
        if not running and others:
            if not is_logged:
                logger.info(
                    "Waits for the last features, %d utterances: another run is at "
                    "them",
                    sum(len(shards[number]) for number in others),
                )
                is_logged = True
            time.sleep(PAUSE)
            waiting, others = others, deque()
        for future in futures.wait(running, None, futures.FIRST_COMPLETED).done:
            number, shard = running.pop(future)
            if future.result() and cache.has_shard(keys_of(shard)):
                finished(shard)
                waiting.extend(others)  # some of those may be complete, too
                others.clear()
            else:
                others.append(number)


def keys_of(shard: Shard) -> list[str]:
    """Returns the keys of the items of a shard."""
    return [item["key"] for item in shard]
