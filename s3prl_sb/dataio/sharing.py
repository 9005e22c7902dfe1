"""Several runs fill one cold cache: each shard is computed by one of them.

Who works on a shard has claimed it; others take the next one meanwhile. A run waits
only when it has no claim of its own and nothing is left but what others work on, so
none waits for another in a circle. A claim ends with its process: what a killed run was
at is taken over.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import time

logger = logging.getLogger(__name__)

PAUSE = 0.2  # seconds between two looks at what others work on


class SharedShards:
    """The shards that a cache lacks, as they become this process's to compute.

    Arguments
    ---------
    cache : s3prl_sb.dataio.cache.FeatureCache
        Others may write into its folder meanwhile.
    shards : list of list of dict
        Of their items ``key`` and ``seconds`` are used.
    others : callable, optional
        Takes the seconds of audio of a shard that another process has computed.
    """

    def __init__(self, cache, shards, others=lambda seconds: None):
        self.cache, self.others = cache, others
        self.waiting = list(shards)
        self.taken = []

    def take(self, wait=True):
        """The next shard; it is claimed.

        Arguments
        ---------
        wait : bool
            Whether to wait for others. Not while this process has claims.

        Returns
        -------
        list of dict or None
            None if there is none left or, without ``wait``, none at the moment.
        """
        told = False
        while self.waiting:
            # Others begin at the same end: from there on their shards come first.
            for shard in list(self.waiting):
                keys = _keys(shard)
                if not self.cache.has_shard(keys) and not self.cache.claim(keys):
                    continue
                self.waiting.remove(shard)
                if not self.cache.has_shard(keys):
                    self.taken.append(shard)
                    return shard
                self.cache.give_up(keys)
                self.others(sum(item["seconds"] for item in shard))
            if not wait or not self.waiting:
                break
            if not told:
                logger.info(
                    "Waits for the last features, %d utterances: another run is at "
                    "them",
                    sum(map(len, self.waiting)),
                )
                told = True
            time.sleep(PAUSE)
        return None

    def give_up(self):
        """Leaves what was taken and not written to others."""
        for shard in self.taken:
            self.cache.give_up(_keys(shard))


def _keys(shard):
    return [item["key"] for item in shard]
