"""Plan of an extraction: which forms of which utterances are in which shard.

The plan is a function of the records alone: several machines agree on it without a
message, and each of them reads only the audio files of its part.

Authors
 * The s3prl_sb developers, 2026
"""

from array import array
from collections.abc import Callable, Sequence
from typing import Any

from s3prl_sb.audio.loading import AudioFileError
from s3prl_sb.dataio.cache import CacheError, FeatureCache, audio_key
from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.identity.data import audio_hashes

#: A shard has the SHARE-th part of the audio, but seconds in this range: a kill may
#: cost them. A million utterances then take some thousand files, and few hours still
#: enough for several processes.
SHARD_SECONDS = (240, 3600)
SHARE = 256
SHARD_BYTES = 256 << 20  # at most, of features
SHARD_UTTERANCES = 4096


class ShardPlan(Sequence[list[dict[str, Any]]]):
    """Shards of a dataset, as lists of items that are made when they are asked for.

    An item is a dict with ``key``, ``id``, ``draw``, ``record`` and ``seconds``.

    Arguments
    ---------
    dataset : ManifestDataset
        The data, whose records have durations.
    count : callable
        Takes seconds; returns the number of frames that are kept.
    per_frame : int
        Bytes of a frame.
    part : (int, int)
        Index and number of the parts; the other parts' shards are left out.

    Raises
    ------
    CacheError
        If the number of forms of an utterance is unlimited.
    """

    def __init__(
        self,
        dataset: ManifestDataset,
        count: Callable[[float], int],
        per_frame: int,
        part: tuple[int, int] = (0, 1),
    ):
        self.dataset = dataset
        #: Frames of the whole dataset.
        self.frames = 0
        # A row a form: position of the utterance, number of the form, its duration.
        self._positions, self._draws = array("l"), array("l")
        self._seconds = array("d")
        for position in range(len(dataset)):
            forms = finite_forms(dataset, position)
            self._positions.extend([position] * len(forms))
            self._draws.extend(range(len(forms)))
            self._seconds.extend(forms)
        self._hashes: dict[str, str] = {}
        self._shards = self._split(count, per_frame)[part[0] :: part[1]]

    def _split(self, count, per_frame):
        """Returns the rows of each shard."""
        least, most = SHARD_SECONDS
        most = min(max(sum(self._seconds) / SHARE, least), most)
        starts, seconds, size = [], 0.0, 0
        for row, duration in enumerate(self._seconds):
            frames = count(duration)
            self.frames += frames
            if (
                not starts
                or seconds + duration > most
                or size + frames * per_frame > SHARD_BYTES
                or row - starts[-1] == SHARD_UTTERANCES
            ):
                starts.append(row)
                seconds, size = 0.0, 0
            seconds += duration
            size += frames * per_frame
        return list(map(range, starts, [*starts[1:], len(self._seconds)]))

    def keep_lacking(
        self, cache: FeatureCache, progressbar: bool = False, again: bool = True
    ) -> None:
        """Drops what a cache has already.

        Arguments
        ---------
        cache : FeatureCache
            The cache.
        progressbar : bool
            Whether to show progress while audio files are hashed.
        again : bool
            Whether to check which of them have changed since the last look at them;
            those of what is lacking are checked in any case.

        Raises
        ------
        s3prl_sb.audio.loading.AudioFileError
            If a file does not exist; the message names the utterance.
        """
        self._hash(progressbar, again)
        lacking = (
            array("l", (row for row in rows if self._key(row) not in cache))
            for rows in self._shards
        )
        self._shards = [rows for rows in lacking if rows]
        if self._shards and not again:
            self._hash(progressbar, True)

    def _hash(self, progressbar, again):
        ids = self.dataset.data_ids
        names = (ids[self._positions[row]] for rows in self._shards for row in rows)
        self._hashes = audio_hashes(self.dataset, progressbar, again, names)

    @property
    def seconds(self) -> float:
        """Seconds of audio in all shards."""
        return sum(self._seconds[row] for rows in self._shards for row in rows)

    @property
    def utterances(self) -> int:
        """Number of items in all shards."""
        return sum(map(len, self._shards))

    def __len__(self) -> int:
        return len(self._shards)

    def __getitem__(self, number):
        return [self._item(row) for row in self._shards[number]]

    def _item(self, row):
        utterance = self.dataset.data_ids[self._positions[row]]
        return {
            "key": self._key(row),
            "id": utterance,
            "draw": self._draws[row],
            "record": self.dataset.data[utterance],
            "seconds": self._seconds[row],
        }

    def _key(self, row):
        utterance = self.dataset.data_ids[self._positions[row]]
        record = self.dataset.data[utterance]
        return key_of(utterance, record, self._draws[row], self._hashes)


def finite_forms(dataset: ManifestDataset, position: int) -> list[float]:
    """Returns the durations of the forms of an utterance, in seconds. Raises a
    CacheError if their number is unlimited."""
    forms = dataset.form_seconds(position)
    if forms is None:
        raise CacheError(
            f"utterance '{dataset.data_ids[position]}' is another one each time it is "
            "loaded (a random crop without `crops`, noise without `draws`): its "
            "features cannot be cached. Set cache: off."
        )
    return forms


def key_of(utterance, record, draw, hashes):
    """Returns the key of a form.

    Arguments
    ---------
    utterance, record, draw
        See :func:`~s3prl_sb.dataio.cache.audio_key`.
    hashes : dict
        Audio files to hashes of their content.

    Returns
    -------
    str

    Raises
    ------
    s3prl_sb.audio.loading.AudioFileError
        If the file has no hash; the message names the utterance.
    """
    content = hashes.get(record["wav"])
    if content is None:
        raise AudioFileError(
            f"utterance '{utterance}' ({record['wav']}): no such file, or one that "
            "cannot be read."
        )
    return audio_key(utterance, record, draw, content)
