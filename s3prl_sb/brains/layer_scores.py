"""Query-by-example scores of one hidden state, computed and stored in a file.

Authors
 * The s3prl_sb developers, 2026
"""

import logging

from s3prl_sb.dataio.statistics import Moments, Standardize
from s3prl_sb.lobes import dtw
from s3prl_sb.storage.files import FileError, read_safetensors, write_safetensors
from s3prl_sb.storage.parts import Part

logger = logging.getLogger(__name__)


class OneLayer:
    """Sequence of one hidden state of a set's utterances, each [frames, size].

    Arguments
    ---------
    cache : s3prl_sb.dataio.cache.FeatureCache
        Cache of features [frames, layers, size].
    keys : list of str
        Cache keys of the utterances.
    index : int
        Index of the hidden state among the cached layers.
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
        of the queries of one set, independently of the other set.

    Returns
    -------
    dict
        Each set to scores [queries, documents]; "valid_mean", "valid_deviation" and so
        on to mean and deviation of the features, [size].

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
    results = {}
    for split in [name for name in states if name != "documents"]:
        both = moments[split]
        both.merge(moments["documents"])
        mean, deviation = both.mean.float(), both.deviation()
        results |= {f"{split}_mean": mean, f"{split}_deviation": deviation}
        transform = None
        if normalize:
            transform = Standardize(mean.to(device), deviation.to(device))
        results[split] = dtw.search(
            states[split],
            states["documents"],
            distance,
            minmax,
            transform,
            device,
            tick=tick,
        )
    return results


def write(path, tensors):
    """Writes a safetensors file atomically.

    Arguments
    ---------
    path : pathlib.Path
        Path of the file; its folder is created.
    tensors : dict
        Names to tensors.
    """
    with Part(path) as part:
        write_safetensors(part.path, tensors, {})
        part.publish(sync=False)


def read(path):
    """Reads a file of :func:`write`.

    Arguments
    ---------
    path : pathlib.Path
        Path of the file.

    Returns
    -------
    dict or None
        Names to tensors; None if the file is missing or damaged.
    """
    if not path.exists():
        return None
    try:
        return read_safetensors(path, "scores of one hidden state", signed=True)
    except FileError as error:
        logger.warning("%s It is computed again.", error)
        return None
