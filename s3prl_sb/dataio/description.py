"""Description of the content of a feature cache, and an estimate of its size.

Authors
 * The s3prl_sb developers, 2026
"""

import logging

from s3prl_sb.dataio import features, quantization
from s3prl_sb.dataio.cache import INT8
from s3prl_sb.dataio.dataset import changes_audio
from s3prl_sb.dataio.features import KINDS, compute
from s3prl_sb.dataio.time_map import TimeMap
from s3prl_sb.identity import FORMAT, digest
from s3prl_sb.identity.code import code_of
from s3prl_sb.identity.objects import identity_of
from s3prl_sb.identity.upstreams import upstream_identity
from s3prl_sb.lobes.featurizer import chosen_layers
from s3prl_sb.storage.files import FileError, read_json

logger = logging.getLogger(__name__)

DTYPES = (*features.DTYPES, INT8)
DESCRIPTION = "description.json"  # beside the shards, for people


def describe(upstream, dataset, kind, layers=None, dtype="float16", identity=None):
    """Describes the content of a cache in JSON values.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Model that computes the features.
    dataset : s3prl_sb.dataio.dataset.ManifestDataset
        Dataset whose pipes make the waveforms.
    kind : str
        "frames", or "pooled" for their mean over time.
    layers : list of int, optional
        Hidden states to keep, in this order; default all.
    dtype : str
        "float16", "float32" or "int8", which has a scale for each frame and layer.
    identity : str, optional
        Digest of the upstream's identity, if it has been computed already.

    Returns
    -------
    dict
    """
    if kind not in KINDS:
        raise ValueError(f"a cache holds {' or '.join(map(repr, KINDS))}, not '{kind}'")
    if dtype not in DTYPES:
        raise ValueError(f"a cache holds {' or '.join(DTYPES)}, not '{dtype}'")
    code = [compute, quantization.quantize] if dtype == INT8 else [compute]
    sizes = _sizes(upstream, layers)
    if len(set(sizes)) > 1:
        raise ValueError(
            f"The hidden states of {type(upstream).__name__} have the sizes {sizes}: "
            "choose `layers` of one size."
        )
    pipes = identity_of([p for p in dataset.pipes if changes_audio(p)])
    return {
        "format": FORMAT,
        "upstream": type(upstream).__name__,
        "fingerprint": identity or digest(upstream_identity(upstream)),
        "kind": kind,
        "layers": _indices(upstream, layers),
        "size": sizes[0],
        "stride": upstream.stride,
        "dtype": dtype,
        "audio": pipes["is"],
        "audio_code": digest(pipes["code"]),
        "code": digest(code_of(code)),
    }


def estimate(upstream, dataset, kind, layers=None, dtype="float16"):
    """Estimates the size of a cache.

    Arguments
    ---------
    upstream, dataset, kind, layers, dtype
        See :func:`describe`.

    Returns
    -------
    int
        Bytes.
    """
    total = 0
    for i in range(len(dataset)):
        forms = dataset.form_seconds(i, unlimited=1)
        total += sum(frames(upstream, kind, seconds) for seconds in forms)
    return total * frame_bytes(upstream, layers, dtype)


def frames(upstream, kind, seconds):
    """Returns the number of frames that a cache keeps of a form of an utterance.

    Arguments
    ---------
    upstream, kind
        See :func:`describe`.
    seconds : float
        Duration of the form.

    Returns
    -------
    int
    """
    if kind == "pooled":
        return 1
    return upstream.frames(TimeMap(seconds).samples(upstream.sample_rate))


def frame_bytes(upstream, layers=None, dtype="float16"):
    """Returns the bytes of a frame in a cache.

    Arguments
    ---------
    upstream, layers, dtype
        See :func:`describe`.

    Returns
    -------
    int

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> [frame_bytes(load("fbank"), None, dtype) for dtype in DTYPES]
    [480, 960, 244]
    """
    sizes = _sizes(upstream, layers)
    if dtype == INT8:
        return sum(sizes) + quantization.SCALE_BYTES * len(sizes)
    return sum(sizes) * features.DTYPES[dtype].itemsize


def _sizes(upstream, layers):
    """Returns the sizes of the selected hidden states."""
    return [upstream.output_sizes[i] for i in _indices(upstream, layers)]


def _indices(upstream, layers):
    return chosen_layers(upstream.num_layers, "all" if layers is None else layers)


def log_outdated(folder, description):
    """Logs which caches have an outdated identity format.

    Arguments
    ---------
    folder : pathlib.Path
        Folder of a cache; its siblings are checked.
    description : dict
        Description of that cache.
    """
    for path in sorted(
        folder.parent.glob(f"{description['upstream']}-*/{DESCRIPTION}")
    ):
        try:
            other = read_json(path, "the description of a cache", kind=dict)
        except FileError:
            continue
        if other.get("format") != FORMAT:
            logger.info(
                "%s holds features of an older identity: they are not used, but made "
                "anew. Delete the folder if no older version needs it.",
                path.parent,
            )
