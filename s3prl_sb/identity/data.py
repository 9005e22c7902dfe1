"""Identity of data sets, and of a run as a whole.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from s3prl_sb.identity import FORMAT, digest, further_audio, remote_content
from s3prl_sb.identity.content import hash_files
from s3prl_sb.identity.locations import is_url
from s3prl_sb.identity.objects import identity_of
from s3prl_sb.identity.upstreams import first_identity

if TYPE_CHECKING:
    from s3prl_sb.dataio.dataset import ManifestDataset
    from s3prl_sb.lobes.upstreams.base import Upstream

#: Keys of a recipe with the modules that compute besides the upstream.
PARTS = ("train_pipes", "train_conditions", "eval_pipes", "featurizer", "head")

#: Audio files that are looked at together: what they take in between is memory.
SLICE = 50_000


def audio_hashes(
    dataset: "ManifestDataset",
    progressbar: bool = False,
    again: bool = True,
    names: Iterable[str] | None = None,
    further: bool = False,
) -> dict[str, str]:
    """Returns the hashes of the audio files of a dataset.

    Arguments
    ---------
    dataset : s3prl_sb.dataio.dataset.ManifestDataset
        The dataset, which stores the result.
    progressbar : bool
        Whether to show progress.
    again : bool
        Whether to check which files have changed since the last call.
    names : iterable of str, optional
        Ids of the utterances whose files are needed. Default: all.
    further : bool
        Whether to include the further audio that the pipes read, on which no features
        depend, see :mod:`s3prl_sb.identity.further_audio`.

    Returns
    -------
    dict
        Names, as in the records, to 64 hexadecimal digits. Missing files are skipped:
        loading them raises an error that names the utterance.
    """
    hashes = dataset.__dict__.setdefault("_audio_hashes", {})
    names = dataset.data if names is None else names
    if again:
        hashes.clear()
    keys = further_audio.keys_read(dataset.pipes) if further else ()
    waiting: set[str] = set()
    for name in names:
        record = dataset.data[name]
        for wav in (record.get("wav"), *further_audio.names(record, keys)):
            if wav and wav not in hashes:
                waiting.add(wav)
        if len(waiting) >= SLICE:
            hashes.update(_existing(sorted(waiting), progressbar))
            waiting.clear()
    hashes.update(_existing(sorted(waiting), progressbar))
    return hashes


def _existing(paths, progressbar):
    urls = [path for path in paths if is_url(path)]
    paths = [path for path in paths if not is_url(path)]
    hashes = _existing_files(paths, progressbar)
    return {**hashes, **remote_content.hashes(urls, skip=True)} if urls else hashes


def _existing_files(paths, progressbar):
    try:
        return hash_files(paths, progressbar)
    except OSError:  # for one of the files
        hashes = {}
        for path in paths:
            try:
                hashes[path] = hash_files([path])[path]
            except OSError:
                continue
        return hashes


def digests(
    splits: "dict[str, ManifestDataset]", progressbar: bool = False
) -> dict[str, str]:
    """Returns the digests of data sets: their records, and the content of the audio.

    With several processes, the main one reads the audio and the others use the cache.

    Arguments
    ---------
    splits : dict
        Names to :class:`~s3prl_sb.dataio.dataset.ManifestDataset`.
    progressbar : bool
        Whether to show progress.

    Returns
    -------
    dict
        Names to 32 hexadecimal digits, which do not depend on the paths of the audio
        files or on the order.
    """
    from speechbrain.utils.distributed import ddp_barrier, if_main_process

    main = if_main_process()
    for turn in (True, False):
        if main is turn:
            for dataset in splits.values():
                audio_hashes(dataset, progressbar and main, further=True)
        ddp_barrier()
    return {name: _digest(dataset) for name, dataset in splits.items()}


def _digest(dataset):
    hashes, sha256 = audio_hashes(dataset, again=False, further=True), hashlib.sha256()
    keys = further_audio.keys_read(dataset.pipes)
    encode = json.JSONEncoder(sort_keys=True, default=str).encode
    for key in sorted(dataset.data):
        record = further_audio.replaced(dataset.data[key], keys, hashes.get)
        wav = record.pop("wav", None)
        if wav:
            record["wav"] = hashes.get(wav)
        sha256.update(encode([key, record]).encode() + b"\n")
    return sha256.hexdigest()[:32]


def seconds_of(dataset: "ManifestDataset | None") -> float | None:
    """Returns the total duration of the utterances of a set.

    Arguments
    ---------
    dataset : s3prl_sb.dataio.dataset.ManifestDataset or None
        The set.

    Returns
    -------
    float or None
        Seconds; None if the records do not have them.
    """
    durations = [] if dataset is None else dataset.data.values()
    durations = [record.get("duration") for record in durations]
    return sum(durations) if durations and None not in durations else None


def parts_identity(hparams: dict) -> dict[str, dict]:
    """Returns the identities of the pipes, the featurizer and the head of a recipe.

    Trainable weights do not count.

    Arguments
    ---------
    hparams : dict
        Hyperparameters of a recipe.

    Returns
    -------
    dict
        Names to :func:`~s3prl_sb.identity.objects.identity_of`.
    """
    return {
        name: identity_of(hparams[name], weights=False)
        for name in PARTS
        if hparams.get(name) is not None
    }


def run_identity(
    upstream: "Upstream", data: dict[str, str], hparams: dict | None = None
) -> dict[str, Any]:
    """Returns the identity of the results of a run.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        The upstream, before training; or after it, if
        :func:`~s3prl_sb.identity.upstreams.first_identity` was called before.
    data : dict
        Output of :func:`digests`.
    hparams : dict, optional
        Hyperparameters of the recipe, whose pipes, featurizer and head count.

    Returns
    -------
    dict
        JSON values: ``format``; ``upstream``, the digest of its identity; its
        ``weights`` and ``files``; ``code``, a digest of all modules; ``versions`` of
        libraries; ``data``, digests of the sets.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> sorted(run_identity(load("mel"), {"train": "ab"}))
    ['code', 'data', 'files', 'format', 'upstream', 'versions', 'weights']
    """
    identity = first_identity(upstream)
    codes = [identity["code"]]
    codes += [part["code"] for part in parts_identity(hparams or {}).values()]
    versions = {name: v for code in codes for name, v in code["versions"].items()}
    return {
        "format": FORMAT,
        "upstream": digest(identity),
        "weights": identity["weights"],
        "files": identity["files"],
        "code": digest([code["modules"] for code in codes]),
        "versions": dict(sorted(versions.items())),
        "data": dict(data),
    }
