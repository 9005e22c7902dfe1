"""Scores of query by example in one hidden state: computed, and kept in a file.

Authors
 * The s3prl_sb developers, 2026
"""

import logging

from s3prl_sb.dataio.statistics import Moments, Standardize
from s3prl_sb.lobes import dtw
from s3prl_sb.storage.files import FileError
from s3prl_sb.storage.parts import Part
from s3prl_sb.storage.tensor_files import read_safetensors, write_safetensors

logger = logging.getLogger(__name__)


class OneLayer:
    """One hidden state of a set's utterances, each [frames, size].

    Arguments
    ---------
    cache : s3prl_sb.dataio.cache.FeatureCache
        Has features [frames, layers, size].
    keys : list of str
        Of the utterances.
    index : int
        Which of the layers.
    """

    def __init__(self, cache, keys, index):
        self.cache, self.keys, self.index = cache, keys, index

    def __len__(self):
        return len(self.keys)

    def __getitem__(self, number):
        return self.cache[self.keys[number]][:, self.index]


def search(
    states,
    distance="cosine_exp",
    normalize=True,
    minmax=True,
    device="cpu",
    tick=lambda documents: None,
):
    """Searches the queries of each set in the documents.

    Arguments
    ---------
    states : dict
        "documents" and sets of queries, such as "valid" and "test", to sequences of
        features [frames, size].
    distance, minmax, device, tick
        See :func:`s3prl_sb.lobes.dtw.search`.
    normalize : bool
        Whether features get mean 0 and deviation 1 over all frames of the documents and
        the queries of one set: as if the other set were not there.

    Returns
    -------
    dict
        Each set to scores [queries, documents], and "valid_mean", "valid_deviation"
        and so on to those of the features, [size].

    Example
    -------
    >>> import torch
    >>> documents = [torch.randn(30, 4) for _ in range(3)]
    >>> states = {"documents": documents, "valid": documents, "test": documents[:2]}
    >>> search(states)["test"].argmax(1)
    tensor([0, 1])
    """
    moments = {}
    for name, utterances in states.items():
        moments[name] = Moments()
        for frames in utterances:
            moments[name].add(frames)
    found = {}
    for split in [name for name in states if name != "documents"]:
        both = moments[split]
        both.merge(moments["documents"])
        mean, deviation = both.mean.float(), both.deviation()
        found |= {f"{split}_mean": mean, f"{split}_deviation": deviation}
        transform = None
        if normalize:
            transform = Standardize(mean.to(device), deviation.to(device))
        found[split] = dtw.search(
            states[split],
            states["documents"],
            distance,
            minmax,
            transform,
            device,
            tick=tick,
        )
    return found


def write(path, tensors):
    """Writes a safetensors file, whole or not at all.

    Arguments
    ---------
    path : pathlib.Path
        Its folder is made if need be.
    tensors : dict
        Names to tensors.
    """
    with Part(path) as part:
        write_safetensors(part.path, tensors, {})
        part.publish(sync=False)


def read(path):
    """Reads what :func:`write` has written.

    Arguments
    ---------
    path : pathlib.Path
        The file.

    Returns
    -------
    dict or None
        None where there is no file, or a broken one.
    """
    if not path.exists():
        return None
    try:
        return read_safetensors(path, "scores of one hidden state", signed=True)
    except FileError as error:
        logger.warning("%s It is computed again.", error)
        return None
