"""Plan of a run: what its upstream will compute, before anything is computed.

The decisions are those of the run itself (:mod:`s3prl_sb.brains.caching`), on its own
data. Only two numbers are measured, for some seconds: how much audio the upstream
encodes in a second on this machine, and how long an update of the head takes.

Authors
 * The s3prl_sb developers, 2026
"""

import itertools
import logging
import time
from pathlib import Path
from typing import Any, NamedTuple

import speechbrain as sb
import torch
from speechbrain.dataio.batch import PaddedData

from s3prl_sb.brains import caching, course
from s3prl_sb.dataio import extraction, partly_cached
from s3prl_sb.dataio.encoding_speed import SECONDS, encoding_speed, synchronize
from s3prl_sb.dataio.features import compute
from s3prl_sb.identity import digest
from s3prl_sb.identity.upstreams import first_identity
from s3prl_sb.storage.files import read_json, write_json
from s3prl_sb.terminal import quantities

logger = logging.getLogger(__name__)

FILE = "plan.json"
WARM_UP = 1  # updates before the clock starts
FIRST = 64  # updates that are measured at most


class Part(NamedTuple):
    """Work of the upstream on one split.

    Arguments
    ---------
    split : str
        "train", "valid" or "test".
    utterances : int
        Number of utterances.
    seconds : float
        Seconds of audio of all their forms, once.
    cache : str
        "off", "pooled" or "frames".
    reason : str
        Reason of this choice, in words.
    passes : float
        How often the upstream runs over this audio.
    bytes : int
        Size of the cache.
    features : str
        Digest of what is cached: plans of the same features have the same one. Empty
        without a cache.
    """

    split: str
    utterances: int
    seconds: float
    cache: str
    reason: str
    passes: float
    bytes: int
    features: str = ""


def plan(brain, splits: dict[str, Any]) -> dict[str, Any]:
    """Describes what a run will compute, and writes it as ``plan.json``.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        Brain of the run, which has not begun.
    splits : dict
        "train", "valid" and "test" to datasets with audio.

    Returns
    -------
    dict
        JSON values: ``parts``, a :class:`Part` each; ``updates``; ``once`` and
        ``upstream``, seconds of audio to encode if each form were encoded once, and in
        the run; ``bytes`` of the caches; ``speed``, seconds of audio a second;
        ``gflop`` a second of audio; ``update``, seconds an update; ``hours``.
    """
    parts = [
        part
        for name, dataset in splits.items()
        for part in parts_of(brain, name, dataset)
    ]
    train = next((part for part in parts if part.split == "train"), None)
    updates = course.planned(brain)[0] if train else 0
    dataset = next(iter(splits.values()))
    kind = train.cache if train else "off"
    what = "frames" if kind == "frames" else "pooled"
    layers = brain.raw_modules["featurizer"].layers
    speed, gflop = encoding_speed(brain.upstream, dataset, brain.device, what, layers)
    update = _update_seconds(brain, splits["train"], kind) if updates else 0.0
    once = sum(part.seconds for part in parts)
    encoded = sum(part.seconds * part.passes for part in parts)
    result = {
        "task": brain.task,
        "upstream_name": brain.hparams.upstream_name,
        "device": str(brain.device),
        "parts": [part._asdict() for part in parts],
        "updates": updates,
        "once": once,
        "upstream": encoded,
        "bytes": sum(part.bytes for part in parts),
        "speed": speed,
        "gflop": gflop,
        "update": update,
        "hours": (encoded / speed + updates * update) / 3600,
    }
    write_json(Path(brain.hparams.output_folder) / FILE, result)
    return result


def merge(folder: Path, names: list[str]) -> None:
    """Writes the plan of a recipe that is several runs, such as folds or corpora.

    Arguments
    ---------
    folder : pathlib.Path
        Folder of the recipe, which gets ``plan.json``.
    names : list of str
        Folders of the runs in it, which have their plans.
    """
    plans = [read_json(folder / name / FILE, "a plan", kind=dict) for name in names]
    sums = ("updates", "once", "upstream", "bytes", "hours")
    together = {key: sum(plan[key] for plan in plans) for key in sums}
    training = sum(plan["updates"] * plan["update"] for plan in plans)
    together["update"] = training / max(1, together["updates"])
    together["parts"] = [part for plan in plans for part in plan["parts"]]
    write_json(folder / FILE, {**plans[0], **together})


def parts_of(brain, name, dataset, disk=None):
    """Returns the work of a run's upstream on one split.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        See :func:`plan`.
    name : str
        Name of the split.
    dataset : s3prl_sb.dataio.dataset.ManifestDataset
        Its data.
    disk : s3prl_sb.brains.cache_budget.Disk, optional
        Disk of the caches. Default: that of ``cache_folder``.

    Returns
    -------
    list of Part
        Two where a part of the utterances is cached, otherwise one.
    """
    kind, reason = caching.kind(brain, dataset, name, disk)
    finite, endless = partly_cached.divided(dataset)
    heard = [_mean_seconds(dataset, i) for i in range(len(dataset))]
    if kind == "off" or endless is None:
        return [_part(brain, name, dataset, kind, reason, sum(heard) / len(heard))]
    # Of the batches' audio they have the part that they have of the utterances.
    rest = sum(_mean_seconds(endless, i) for i in range(len(endless))) / len(heard)
    return [
        _part(brain, name, finite, kind, reason, 0.0),
        _part(brain, name, endless, "off", "the others", rest),
    ]


def _mean_seconds(dataset, index):
    seconds = dataset.form_seconds(index, unlimited=1)
    return sum(seconds) / len(seconds)


def _part(brain, name, dataset, kind, reason, mean):
    forms = [dataset.form_seconds(i, unlimited=1) for i in range(len(dataset))]
    seconds = float(sum(map(sum, forms)))
    size, passes, features = 0, 1.0, ""
    if kind != "off":
        layers = brain.raw_modules["featurizer"].layers
        what = kind, layers, caching.dtype(brain, name, kind)
        size = extraction.estimate(brain.upstream, dataset, *what)
        features = _features(brain, dataset, *what)
    elif name == "train" and seconds:
        shortened = {**vars(brain.hparams), "total_steps": course.planned(brain)[0]}
        passes = caching.trained_seconds(shortened, mean) / seconds
    elif name == "valid":
        total, epoch = course.planned(brain)
        passes = float(-(-total // epoch))
    return Part(name, len(dataset), seconds, kind, reason, passes, size, features)


def _features(brain, dataset, *what):
    """Returns what identifies the features of a dataset, whatever the task is."""
    identity = digest(first_identity(brain.upstream))
    about = extraction.describe(brain.upstream, dataset, *what, identity)
    audio = [
        [name, *(dataset.data[name].get(key) for key in ("wav", "start", "stop"))]
        for name in sorted(dataset.data_ids)
    ]
    return digest([about, audio])


def _update_seconds(brain, dataset, kind):
    """Returns the seconds of an update on features that are there already.

    The weights change, so the Brain is not to be trained afterwards.
    """
    brain.init_optimizers()
    brain.course = course.Silent()
    options = dict(brain.hparams.train_dataloader_opts, num_workers=0)
    loader = brain.make_dataloader(dataset, sb.Stage.TRAIN, **options)
    brain.modules.train()
    spent, count = 0.0, 0
    layers = brain.raw_modules["featurizer"].layers
    for number, batch in enumerate(itertools.islice(loader, FIRST)):
        if brain.upstream.freeze:
            _add_features(
                brain, batch, "pooled" if kind == "pooled" else "frames", layers
            )
        start = time.perf_counter()
        brain.step = number + 1
        brain.fit_batch(batch)
        synchronize(brain.device)
        if number >= WARM_UP:
            spent, count = spent + time.perf_counter() - start, count + 1
        if spent > SECONDS:
            break
    return spent / max(count, 1) * brain.grad_accumulation_factor


def _add_features(brain, batch, kind, layers):
    """Gives a batch the features that a cache would give it."""
    sig = batch.sig
    lengths = (sig.lengths * sig.data.shape[1]).round().int().tolist()
    wavs = [wav[:length] for wav, length in zip(sig.data, lengths)]
    features = list(
        compute(brain.upstream, wavs, kind, layers, "float32", brain.device)
    )
    frames = torch.tensor([len(each) for each in features])
    padded = torch.nn.utils.rnn.pad_sequence(features, batch_first=True)
    batch.feats = PaddedData(padded, frames / frames.max())


def text(result: dict[str, Any]) -> str:
    """Returns a plan for people.

    Arguments
    ---------
    result : dict
        Output of :func:`plan`.

    Returns
    -------
    str

    Example
    -------
    >>> part = Part("train", 10, 36.0, "pooled", "exact", 1.0, 4000)._asdict()
    >>> about = {"task": "KS", "upstream_name": "fbank", "device": "cpu", "updates": 5}
    >>> sums = {"once": 36.0, "upstream": 36.0, "bytes": 4000, "gflop": 2.0}
    >>> speeds = {"speed": 3.6, "update": 0.1, "hours": 0.5}
    >>> print(text({**about, **sums, **speeds, "parts": [part]}))
    KS, fbank, on cpu
      train: 10 utterances, 36.0 s of audio; cache pooled (exact): 4 kB; 1 pass
      The upstream encodes 36.0 s, 1.0 times its audio, at 3.6 times real time: 10 s
      5 updates of 100 ms: 0 s
      About 30 min in all; caches of 4 kB
    """
    lines = [f"{result['task']}, {result['upstream_name']}, on {result['device']}"]
    for part in result["parts"]:
        many = f"{part['passes']:.3g} " + ("pass" if part["passes"] == 1 else "passes")
        size = f": {quantities.count(part['bytes'], 'B')}" if part["bytes"] else ""
        lines.append(
            f"  {part['split']}: {part['utterances']} utterances, "
            f"{quantities.audio(part['seconds'])} of audio; cache {part['cache']} "
            f"({part['reason']}){size}; {many}"
        )
    once = result["once"] or 1.0
    lines.append(
        f"  The upstream encodes {quantities.audio(result['upstream'])}, "
        f"{result['upstream'] / once:.1f} times its audio, at {result['speed']:.3g} "
        f"times real time: {quantities.duration(result['upstream'] / result['speed'])}"
    )
    if result["updates"]:
        seconds = result["updates"] * result["update"]
        lines.append(
            f"  {result['updates']} updates of {1000 * result['update']:.3g} ms: "
            f"{quantities.duration(seconds)}"
        )
    lines.append(
        f"  About {quantities.duration(3600 * result['hours'])} in all; caches of "
        f"{quantities.count(result['bytes'], 'B')}"
    )
    return "\n".join(lines)
