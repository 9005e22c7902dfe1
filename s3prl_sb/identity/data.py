"""What is learned from, and a run as a whole.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
import json

from s3prl_sb.identity import FORMAT, digest
from s3prl_sb.identity.content import hash_files
from s3prl_sb.identity.objects import identity_of
from s3prl_sb.identity.upstreams import first_identity

#: Of a recipe: what computes beside the upstream.
PARTS = ("train_pipes", "eval_pipes", "featurizer", "head")


def audio_hashes(dataset, progressbar=False, again=True):
    """Returns what the audio files of a dataset hold.

    Arguments
    ---------
    dataset : s3prl_sb.dataio.dataset.ManifestDataset
        Remembers the answer.
    progressbar : bool
        Whether to show progress.
    again : bool
        Whether to look again which files have changed since this was asked last.

    Returns
    -------
    dict
        Paths, as the records have them, to 64 hexadecimal digits. A file that is not
        there is left out: whoever loads it says which utterance wants it.
    """
    known = vars(dataset).setdefault("_audio_hashes", {})
    wavs = {record.get("wav") for record in dataset.data.values()} - {None, ""}
    if again:
        known.clear()
    missing = sorted(wavs - known.keys())
    if missing:
        known.update(_there(missing, progressbar))
    return known


def _there(paths, progressbar):
    try:
        return hash_files(paths, progressbar)
    except OSError:  # one of them
        found = {}
        for path in paths:
            try:
                found[path] = hash_files([path])[path]
            except OSError:
                continue
        return found


def digests(splits, progressbar=False):
    """Returns what sets hold: their records, and the audio's content.

    Of several processes the main one reads the audio; the others find it remembered.

    Arguments
    ---------
    splits : dict
        Names to :class:`~s3prl_sb.dataio.dataset.ManifestDataset`.
    progressbar : bool
        Whether to show progress.

    Returns
    -------
    dict
        Names to 32 hexadecimal digits. Where the audio lies and what its files are
        called does not matter, nor does the order.
    """
    from speechbrain.utils.distributed import ddp_barrier, if_main_process

    main = if_main_process()
    for turn in (True, False):
        if main is turn:
            for dataset in splits.values():
                audio_hashes(dataset, progressbar and main)
        ddp_barrier()
    return {name: _digest(dataset) for name, dataset in splits.items()}


def _digest(dataset):
    hashes, found = audio_hashes(dataset, again=False), hashlib.sha256()
    for key in sorted(dataset.data):
        record = dict(dataset.data[key])
        wav = record.pop("wav", None)
        if wav:
            record["wav"] = hashes.get(wav)
        text = json.dumps([key, record], sort_keys=True, default=str)
        found.update(text.encode() + b"\n")
    return found.hexdigest()[:32]


def seconds_of(dataset):
    """How long the utterances of a set are together.

    Arguments
    ---------
    dataset : s3prl_sb.dataio.dataset.ManifestDataset
        Its records say it; None: there is no set.

    Returns
    -------
    float or None
        Seconds; None where they do not say.
    """
    durations = [] if dataset is None else dataset.data.values()
    durations = [record.get("duration") for record in durations]
    return sum(durations) if durations and None not in durations else None


def parts_identity(hparams):
    """Returns what the pipes, the featurizer and the head of a recipe are known by.

    Weights that are to be trained do not count.

    Arguments
    ---------
    hparams : dict
        Of a recipe.

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


def run_identity(upstream, data, hparams=None):
    """Returns what the results of a run stand for.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        As it was loaded; after training too, if :func:`~s3prl_sb.identity.upstreams.
        first_identity` was asked before.
    data : dict
        From :func:`digests`.
    hparams : dict, optional
        Of the recipe: its pipes, featurizer and head count.

    Returns
    -------
    dict
        JSON values: ``format``; ``upstream``, the digest of its identity; ``weights``
        and ``files`` of it; ``code``, a digest of all modules; ``versions`` of
        libraries; ``data``, digests of the sets.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> sorted(run_identity(load("mel"), {"train": "ab"}))
    ['code', 'data', 'files', 'format', 'upstream', 'versions', 'weights']
    """
    known = first_identity(upstream)
    codes = [known["code"]]
    codes += [part["code"] for part in parts_identity(hparams or {}).values()]
    versions = {name: v for code in codes for name, v in code["versions"].items()}
    return {
        "format": FORMAT,
        "upstream": digest(known),
        "weights": known["weights"],
        "files": known["files"],
        "code": digest([code["modules"] for code in codes]),
        "versions": dict(sorted(versions.items())),
        "data": dict(data),
    }
