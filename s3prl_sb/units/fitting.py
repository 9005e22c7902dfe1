"""Fits units: k-means over one hidden state of an upstream.

Hsu et al., "HuBERT" (https://arxiv.org/abs/2106.07447): first 100 clusters of MFCC,
then 500 clusters of a layer of the model that was trained on those.

Authors
 * The s3prl_sb developers, 2026
"""

import importlib.metadata
import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
import torch

from s3prl_sb import __version__
from s3prl_sb.identity import digest
from s3prl_sb.identity.upstreams import first_identity
from s3prl_sb.lobes.pretext.class_counts import perplexity
from s3prl_sb.storage.locks import Lock
from s3prl_sb.terminal import quantities
from s3prl_sb.units.clustering import MiniBatchKMeans, assign, check_extra
from s3prl_sb.units.errors import UnitsError
from s3prl_sb.units.frames import chosen_rows, gather, layer_of, most_frames
from s3prl_sb.units.growing import check_plan
from s3prl_sb.units.model import DESCRIPTION, UnitsModel
from s3prl_sb.units.speech import Speech

if TYPE_CHECKING:
    from s3prl_sb.lobes.upstreams.base import Upstream

logger = logging.getLogger(__name__)

WORK, STATE, LOCK = "work", "kmeans.safetensors", ".lock"
MEASURED = 1 << 16  # frames that are measured together


def fit(
    upstream: "Upstream",
    speech: Speech,
    folder: str | os.PathLike,
    clusters: int,
    layer: int | None = None,
    name: str = "the upstream",
    source: str | None = None,
    seed: int = 0,
    share: float | None = None,
    batch_frames: int = 10_000,
    n_init: int = 3,
    passes: int = 100,
    device: str = "cpu",
    progressbar: bool = True,
) -> UnitsModel:
    """Fits units, or continues a fit that was interrupted.

    Features are computed once, utterance by utterance, and kept on the disk until the
    end. A fit that was killed ends with the same centres as one that was not, on the
    same device and with the same number of threads.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Frozen upstream.
    speech : Speech
        Utterances.
    folder : str
        Folder to make or complete. A finished fit with the same arguments is loaded.
    clusters : int
        Number of units.
    layer : int, optional
        Number of the hidden state. Default: the only one.
    name : str
        Name or file of its card, from which :func:`~s3prl_sb.units.applying.apply`
        loads it again.
    source : str, optional
        Checkpoint that replaces the card's.
    seed : int
        Seed of all random choices.
    share : float, optional
        Share of the utterances. Default: all of them, but at most 96 hours.
    batch_frames, n_init, passes
        See :class:`~s3prl_sb.units.clustering.MiniBatchKMeans`.
    device : str
        Device of the upstream and of k-means.
    progressbar : bool
        Whether to show progress.

    Note
    ----
    fairseq's script fits on a tenth of the utterances, chosen by hand. Here all of
    them count, up to the 96 hours which that is of LibriSpeech.

    Returns
    -------
    UnitsModel
        ``about`` has ``inertia`` (mean squared distance of a frame), ``used`` (number
        of units that occur) and ``perplexity``.

    Raises
    ------
    UnitsError
        For fewer frames than clusters, or a folder with something else.
    s3prl_sb.errors.MissingExtra
        If scikit-learn is absent.
    """
    folder = Path(folder)
    layer = layer_of(upstream, layer, name)
    _check(2, clusters=clusters)
    _check(1, batch_frames=batch_frames, n_init=n_init, passes=passes)
    if not len(speech):
        raise UnitsError("There are no utterances to fit units on.")
    identity = first_identity(upstream)
    plan = {
        "upstream": digest({**identity, "code": None}),
        "layer": layer,
        "clusters": clusters,
        "seed": seed,
        "share": share,
        "batch_frames": batch_frames,
        "n_init": n_init,
        "passes": passes,
        "speech": speech.digest,
    }
    with Lock(folder / LOCK):  # another process may be making the same
        if (folder / DESCRIPTION).exists():
            model = UnitsModel.load(folder)
            check_plan(folder, model.about["plan"], plan)
            shutil.rmtree(folder / WORK, ignore_errors=True)
            return model
        check_extra()
        rows = chosen_rows(speech, share, seed)
        _check_frames(most_frames(upstream, speech, rows), clusters)
        upstream.to(device)
        work = (rows, folder / WORK, plan, device, progressbar)
        frames = gather(upstream, layer, speech, *work)
        _check_frames(len(frames), clusters)  # without utterances that are left out
        kmeans = MiniBatchKMeans(clusters, seed, batch_frames, n_init, passes, device)
        centres = kmeans.fit(frames, folder / WORK / STATE, progressbar)
        about = _about(upstream, identity, plan)
        about |= {"upstream": _absolute(name), "source": _absolute(source)}
        about |= {"utterances": len(rows), **measure(frames, centres)}
        model = UnitsModel(centres, about)
        model.save(folder)
        shutil.rmtree(folder / WORK)
    return model


def _check(least, **counts):
    """Raises an error for a setting that is not a number or is too small."""
    for option, count in counts.items():
        if not isinstance(count, int) or count < least:
            raise UnitsError(f"--{option} {count}: give a number, {least} or more.")


def _check_frames(frames, clusters):
    if frames < clusters:
        raise UnitsError(
            f"{frames} frames cannot form {clusters} clusters. Give more audio, or "
            "fewer --clusters."
        )


def _absolute(name):
    """Returns the name of a card as it is, and a path that works from any folder."""
    is_path = name and (os.path.exists(name) or ".yaml" in name)
    return os.path.abspath(name) if is_path else name


def _about(upstream, identity, plan):
    return {
        "identity": identity,
        "layer": plan["layer"],
        "classes": plan["clusters"],
        "stride": upstream.stride,
        "sample_rate": upstream.sample_rate,
        "plan": plan,
        "versions": _versions(),
    }


def measure(frames: numpy.ndarray, centres: torch.Tensor) -> dict[str, Any]:
    """Measures how well centres fit frames.

    Arguments
    ---------
    frames : numpy.ndarray
        [frames, size].
    centres : torch.Tensor
        [clusters, size].

    Returns
    -------
    dict
        ``frames``, ``inertia`` (mean squared distance to the nearest centre), ``used``
        (centres that are nearest to a frame) and ``perplexity`` of their use.

    Example
    -------
    >>> measure(numpy.array([[0.0], [2.0]]), torch.tensor([[0.0], [1.0], [9.0]]))
    {'frames': 2, 'inertia': 0.5, 'used': 2, 'perplexity': 2.0}
    """
    counts, total = numpy.zeros(len(centres), dtype=numpy.int64), 0.0
    for start in range(0, len(frames), MEASURED):
        part = numpy.asarray(frames[start : start + MEASURED], dtype=numpy.float32)
        labels, distances = assign(torch.from_numpy(part), centres)
        counts += numpy.bincount(labels.numpy(), minlength=len(centres))
        total += float(distances.double().sum())
    return {
        "frames": len(frames),
        "inertia": total / len(frames),
        "used": int((counts > 0).sum()),
        "perplexity": perplexity(torch.from_numpy(counts)),
    }


def summary(model: UnitsModel) -> str:
    """Returns a line about a fit, for people."""
    about = model.about
    seconds = about["frames"] * about["stride"] / about["sample_rate"]
    return (
        f"{about['classes']} units of {about['upstream']}, hidden state "
        f"{about['layer']}, from {quantities.audio(seconds)} of audio: inertia "
        f"{about['inertia']:.4g} a frame, {about['used']} units used, perplexity "
        f"{about['perplexity']:.1f}"
    )


def _versions():
    names = ("torch", "scikit-learn", "numpy")
    versions = {name: importlib.metadata.version(name) for name in names}
    return {"s3prl_sb": __version__, **versions}
