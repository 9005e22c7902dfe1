"""Extraction of features into files of a format.

Features are computed into a feature cache first, which survives a kill and takes the
shards of several processes; then they are written from it, one utterance at a time, and
the cache is deleted. ``features.json`` beside the files says what they are: run again,
only utterances that are missing or have changed are computed. Two extractions into one
folder take turns.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

from s3prl_sb.dataio.cache import INT8
from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.dataio.description import describe, estimate
from s3prl_sb.dataio.extraction import audio_keys, extract
from s3prl_sb.dataio.pipes import LoadAudio
from s3prl_sb.errors import UserError
from s3prl_sb.feature_files.cmvn import EVERYTHING, Statistics, measure
from s3prl_sb.feature_files.formats import FORMATS, UNFINISHED
from s3prl_sb.feature_files.processing import Processed, pooled
from s3prl_sb.identity import digest
from s3prl_sb.storage.files import make_folder, read_json, write_json
from s3prl_sb.storage.locks import Lock
from s3prl_sb.terminal import progress, quantities
from s3prl_sb.terminal.messages import few

logger = logging.getLogger(__name__)

FEATURES = "features.json"  # what the files of a folder are
STATISTICS = "cmvn_stats.npz"
LOCK = ".features.lock"  # held by the extraction that is at work in a folder
CMVN = ("utterance", "speaker", "global")


class ExtractionError(UserError, ValueError):
    """Settings that do not fit together, or a folder with other features."""


class Processing(NamedTuple):
    """Post-processing of features.

    Arguments
    ---------
    deltas : int
        Number of orders of differences to append.
    cmvn : str, optional
        Group of frames with one mean and variance: "utterance", "speaker" (records
        need ``speaker``) or "global".
    statistics : str, optional
        File of statistics to apply, for "speaker" and "global". Default: they are
        measured on the utterances, and written to ``cmvn_stats.npz``.
    pooling : str, optional
        Statistic over time, see :data:`~s3prl_sb.feature_files.processing.POOLINGS`.
    """

    deltas: int = 0
    cmvn: str | None = None
    statistics: str | None = None
    pooling: str | None = None

    @property
    def has_second_pass(self) -> bool:
        """True if all features are needed before one can be normalized."""
        return self.cmvn in ("speaker", "global")

    def group(self, name: str, record: dict) -> str:
        """Returns the group of an utterance."""
        if self.cmvn == "global":
            return EVERYTHING
        if record.get("speaker") in (None, ""):
            raise ExtractionError(
                f"'{name}' ({record['wav']}) has no speaker. Add a column speaker to "
                "the table, or utt2spk to the data folder; or take --cmvn global."
            )
        return str(record["speaker"])

    def upstream(self, upstream: Any) -> Any:
        """Returns the upstream with what can be done in one pass."""
        pooling = None if self.has_second_pass else self.pooling
        cmvn = self.cmvn == "utterance"
        if not (self.deltas or cmvn or pooling):
            return upstream
        return Processed(upstream, self.deltas, cmvn, pooling)


def write_features(
    upstream: Any,
    records: dict[str, dict],
    folder: str | Path,
    format: str = "npy",
    layers: list[int] | None = None,
    dtype: str = "float32",
    processing: Processing = Processing(),
    progressbar: bool = True,
    **options: Any,
) -> tuple[int, int]:
    """Writes the features of utterances in a format.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Frozen upstream.
    records : dict
        ``{id: record}``, see :func:`s3prl_sb.feature_files.sources.records_of`.
    folder : str
        Folder to make or complete.
    format : str
        A key of :data:`~s3prl_sb.feature_files.formats.FORMATS`.
    layers : list of int, optional
        Hidden states; default: all.
    dtype : str
        "float32" or "float16".
    processing : Processing
        Post-processing of the hidden states.
    progressbar : bool
        Whether to show progress.
    **options
        ``device`` and ``num_processes`` of :func:`s3prl_sb.dataio.extraction.extract`.

    Returns
    -------
    tuple of int
        Number of utterances in the folder, and of those that were computed now.

    Raises
    ------
    ExtractionError
        If the folder has features of other settings or files of other programs, or
        the disk is too small.
    s3prl_sb.storage.files.FileError
        If the folder cannot be made or written.
    s3prl_sb.audio.loading.AudioFileError
        For an unusable audio file.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> from s3prl_sb.feature_files.sources import records_of
    >>> from s3prl_sb.lobes.upstreams import load
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(folder + "/a.wav", numpy.zeros(16000), 16000)
    ...     records = records_of(folder + "/a.wav")
    ...     _ = write_features(load("mel"), records, folder + "/out", progressbar=False)
    ...     numpy.load(folder + "/out/a.npy").shape
    (101, 80)
    """
    if format not in FORMATS:
        raise ExtractionError(f"format is one of {', '.join(FORMATS)}, not '{format}'")
    if dtype == INT8:
        raise ExtractionError(
            "int8 is for --format cache, which keeps the scales: --dtype float16 here."
        )
    if format == "kaldi" and dtype != "float32":
        raise ExtractionError("Kaldi has no half precision: --dtype float32.")
    folder, model = Path(folder), processing.upstream(upstream)
    dataset = ManifestDataset(records, [LoadAudio(upstream.sample_rate)], ["id", "sig"])
    about = describe(model, dataset, "frames", layers, dtype)
    given = _given_statistics(processing, records, about)
    settings = _settings(about, format, processing, given)
    layout = (
        folder,
        about["layers"],
        upstream.stride / upstream.sample_rate,
        processing.pooling is not None,
    )
    FORMATS[format](*layout).check(records)
    with _alone_in(folder):
        writer = FORMATS[format](*layout)  # reads what another extraction has written
        _check_owner(writer.existing(records), folder)
        keys = {name: key for name, (key,) in audio_keys(dataset, progressbar).items()}
        kept = _kept(folder / FEATURES, settings)
        done = {name for name, key in keys.items() if kept.get(name) == key}
        done = {name for name in done if writer.has(name)}
        if processing.has_second_pass and not given and len(done) < len(keys):
            done = set()  # the statistics would be others
        missing = [name for name in keys if name not in done]
        if missing:
            dataset.keep(missing)
            _check_room(folder, estimate(model, dataset, "frames", layers, dtype))
            entries = {"settings": settings, "of": digest(settings)}
            write_json(
                folder / FEATURES, {**entries, "keys": {n: keys[n] for n in done}}
            )
            options = {**options, "layers": layers, "dtype": dtype}
            place = folder / UNFINISHED
            cache = extract(model, dataset, place, progressbar=progressbar, **options)
            features = _Features(
                cache, {n: keys[n] for n in missing}, records, processing
            )
            if processing.has_second_pass and not given:
                given = measure(features.by_group(progressbar))
                given.save(folder / STATISTICS)
            everything = {name: records[name] for name in keys}
            writer.write(features.finished(given, progressbar), everything, done)
            write_json(folder / FEATURES, {**entries, "keys": keys})
        shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
    return len(keys), len(missing)


def _check_owner(replaced, folder):
    """Raises ExtractionError for a file that another program has written."""
    if replaced and not (folder / FEATURES).exists():
        raise ExtractionError(
            f"{replaced}: exists, and no {FEATURES} in {folder} says that it is of an "
            "extraction. It is not replaced: choose another --output."
        )


@contextlib.contextmanager
def _alone_in(folder):
    """Makes a folder, and waits until no other extraction is at work in it."""
    make_folder(folder, "Choose another --output.")
    lock = Lock(folder / LOCK)
    lock.acquire()
    try:
        yield
    finally:
        lock.release(delete=True)


def _given_statistics(processing, records, about):
    """Returns the statistics of an earlier extraction, or None. Raises ExtractionError,
    before anything is computed, for those of other groups or of other features."""
    if not processing.has_second_pass:
        return None
    groups = {name: processing.group(name, r) for name, r in records.items()}
    path = processing.statistics
    if path is None:
        return None
    statistics = Statistics.load(path)
    for name, group in groups.items():
        if group not in statistics.sums:
            raise ExtractionError(
                f"'{path}' has no statistics of '{group}', for '{name}'; it has those "
                f"of {few(sorted(statistics.sums))}. Take --cmvn global with "
                "statistics of global, or leave out --cmvn_stats: they are measured."
            )
    count, _, size = next(iter(statistics.sums.values())).shape
    if (count, size - 1) != (len(about["layers"]), about["size"]):
        raise ExtractionError(
            f"'{path}' has statistics of {count} hidden states of {size - 1} values, "
            f"and the features are {len(about['layers'])} of {about['size']}. Choose "
            "the --upstream, --layers and --deltas of that extraction."
        )
    return statistics


def _check_room(folder, size):
    """Logs what files of `size` bytes take on the disk, and raises ExtractionError if
    they do not fit beside the features that are kept until all are written."""
    text = quantities.count(size, "B")
    logger.info(
        "Files of %s in %s; until all are written, the features take %s more",
        text,
        folder,
        text,
    )
    kept = sum(p.stat().st_size for p in (folder / UNFINISHED).rglob("*.safetensors"))
    free = shutil.disk_usage(folder).free
    if 2 * size - kept > free:
        raise ExtractionError(
            f"{folder}: the files take {text}, the features that are kept until all "
            f"are written {text} more, and {quantities.count(free, 'B')} are left. "
            "Choose another --output, fewer --layers, --dtype float16 or --pooling."
        )


def _settings(about, format, processing, statistics):
    """Returns all that the numbers in the files depend on, besides the audio."""
    entries = processing._replace(statistics=statistics and statistics.digest())
    return {"features": about, "format": format, **entries._asdict()}


def _kept(path, settings):
    """Returns the keys of the utterances whose files are complete."""
    if not path.exists():
        return {}
    content = read_json(path, "what the files of a folder are", kind=dict)
    if content.get("of") != digest(settings):
        old = content.get("settings") or {}
        names = [n for n in settings if old.get(n) != settings[n]]
        raise ExtractionError(
            f"{path.parent}: holds features of other settings "
            f"({', '.join(names) or 'an older version'}). Choose another --output, or "
            "delete the folder."
        )
    return content.get("keys") or {}


class _Features:
    """Cached features of utterances, read one at a time."""

    def __init__(self, cache, keys, records, processing):
        self.cache, self.keys, self.records = cache, keys, records
        self.processing = processing

    def _each(self, what, progressbar) -> Iterator[tuple[str, Any]]:
        bar = progress.bar(
            desc=what, total=len(self.keys), unit="utterance", disable=not progressbar
        )
        with contextlib.closing(bar):
            for name, key in self.keys.items():
                yield name, self.cache[key]
                bar.update()

    def by_group(self, progressbar):
        """Yields the (group, features) of each utterance."""
        for name, features in self._each("Measuring mean and variance", progressbar):
            group = self.processing.group(name, self.records[name])
            yield group, features.float().numpy()

    def finished(self, statistics, progressbar):
        """Yields the (id, [frames, layers, size]) of each utterance, normalized and
        pooled."""
        pooling = self.processing.pooling
        for name, features in self._each("Writing features", progressbar):
            if not statistics:
                yield name, features.numpy()
                continue
            group = self.processing.group(name, self.records[name])
            x = statistics.apply(group, features.float().numpy())
            if pooling:
                x = _pooled(x, pooling)
            yield name, x.astype(features.numpy().dtype)


def _pooled(x, pooling):
    """Pools [frames, layers, size] to [1, layers, size]."""
    flat = torch.from_numpy(x)
    layers = [pooled(flat[:, i], pooling) for i in range(flat.shape[1])]
    return torch.stack(layers)[None].numpy()
