"""Shared extraction: several runs fill one cache, each shard is computed by one.

A process claims a shard before it computes it; others skip it. A run waits only when it
has no claim and all remaining shards are claimed by others, so there is no deadlock. A
claim ends with its process: the shards of a killed run are computed by others.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import time
from collections import OrderedDict

logger = logging.getLogger(__name__)

PAUSE = 0.2  # seconds between two checks of the shards of others


class SharedShards:
    """The shards that a cache lacks; this process claims one after the other.

    Arguments
    ---------
    cache : s3prl_sb.dataio.cache.FeatureCache
        The cache; other processes may write to its folder.
    shards : list of list of dict
        Shards of items with ``key`` and ``seconds``.
    others : callable, optional
        Called with the seconds of audio of a shard that another process computed.
    """

    def __init__(self, cache, shards, others=lambda seconds: None):
        self.cache, self.others = cache, others
        self.waiting = OrderedDict(enumerate(shards))
        self.taken = []

    def take(self, wait=True):
        """Claims the next shard.

        Arguments
        ---------
        wait : bool
            Whether to wait for others; only allowed without claims.

        Returns
        -------
        list of dict or None
            None if none is left or, without ``wait``, none is free.
        """
        logged = False
        while self.waiting:
            # Processes start at the same end, where the shards of others are.
            shard = self._next()
            if shard is not None:
                self.taken.append(shard)
                return shard
            if not wait or not self.waiting:
                break
            if not logged:
                logger.info(
                    "Waits for the last features, %d utterances: another run is at "
                    "them",
                    sum(map(len, self.waiting.values())),
                )
                logged = True
            time.sleep(PAUSE)
        return None

    def _next(self):
        """Claims the first shard that is free."""
        finished, claimed = [], None
        for number, shard in self.waiting.items():
            keys = _keys(shard)
            if not self.cache.has_shard(keys) and not self.cache.claim(keys):
                continue
            finished.append(number)
            if not self.cache.has_shard(keys):
                claimed = shard
                break
            self.cache.give_up(keys)
            self.others(sum(item["seconds"] for item in shard))
        for number in finished:
            del self.waiting[number]
        return claimed

    def give_up(self):
        """Releases the claims on shards that were not written."""
        for shard in self.taken:
            self.cache.give_up(_keys(shard))


def _keys(shard):
    return [item["key"] for item in shard]
