"""What a feature cache holds, and how large it will be.

Authors
 * The s3prl_sb developers, 2026
"""

import logging

from s3prl_sb.dataio.dataset import changes_audio
from s3prl_sb.dataio.features import DTYPES, KINDS, compute
from s3prl_sb.identity import FORMAT, digest
from s3prl_sb.identity.code import code_of
from s3prl_sb.identity.objects import identity_of
from s3prl_sb.identity.upstreams import upstream_identity
from s3prl_sb.lobes.featurizer import chosen_layers
from s3prl_sb.storage.files import FileError, read_json

logger = logging.getLogger(__name__)

ABOUT = "description.json"  # of a cache, for people


def describe(upstream, dataset, kind, layers=None, dtype="float16", identity=None):
    """What a cache holds, as JSON values.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        What computes the features.
    dataset : s3prl_sb.dataio.dataset.ManifestDataset
        Its pipes make the waveforms.
    kind : str
        "frames", or "pooled": their mean over time.
    layers : list of int, optional
        Hidden states to keep, in this order; default all.
    dtype : str
        "float16" or "float32".
    identity : str, optional
        The digest of the upstream's identity, where it is known already.

    Returns
    -------
    dict
    """
    if kind not in KINDS:
        raise ValueError(f"a cache holds {' or '.join(map(repr, KINDS))}, not '{kind}'")
    if dtype not in DTYPES:
        raise ValueError(f"a cache holds {' or '.join(DTYPES)}, not '{dtype}'")
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
        "code": digest(code_of([compute])),
    }


def estimate(upstream, dataset, kind, layers=None, dtype="float16"):
    """Size of a cache before it is made.

    Arguments
    ---------
    upstream, dataset, kind, layers, dtype
        As for :func:`describe`.

    Returns
    -------
    int
        Bytes.
    """
    total = 0
    for i, utterance in enumerate(dataset.data_ids):
        duration = dataset.data[utterance]["duration"]
        frames = upstream.frames(round(duration * upstream.sample_rate))
        total += (dataset.variants(i) or 1) * (1 if kind == "pooled" else frames)
    per_frame = sum(_sizes(upstream, layers))
    return total * per_frame * DTYPES[dtype].itemsize


def _sizes(upstream, layers):
    """Of the chosen hidden states."""
    return [upstream.output_sizes[i] for i in _indices(upstream, layers)]


def _indices(upstream, layers):
    return chosen_layers(upstream.num_layers, "all" if layers is None else layers)


def say_of_older(folder, description):
    """Tells of caches that were made before identities were what they are now.

    Arguments
    ---------
    folder : pathlib.Path
        Of a cache; those beside it are looked at.
    description : dict
        What it holds.
    """
    for path in sorted(folder.parent.glob(f"{description['upstream']}-*/{ABOUT}")):
        try:
            found = read_json(path, "the description of a cache", kind=dict)
        except FileError:
            continue
        if found.get("format") != FORMAT:
            logger.info(
                "%s holds features of an older identity: they are not used, but made "
                "anew. Delete the folder if no older version needs it.",
                path.parent,
            )
