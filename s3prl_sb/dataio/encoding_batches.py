"""Batches in which an extraction encodes utterances.

Authors
 * The s3prl_sb developers, 2026
"""

#: On a CPU each utterance runs alone, so that its bits do not depend on others.
BATCH_SECONDS = {"cpu": 0, "cuda": 64}


def batches(items, device):
    """Yields the utterances that the upstream encodes together on a device.

    Arguments
    ---------
    items : iterable of dict
        Utterances in order, with ``seconds``.
    device : str
        Device of the upstream.

    Yields
    ------
    list of dict

    Example
    -------
    >>> items = [{"seconds": seconds} for seconds in (40, 20, 10)]
    >>> [len(batch) for batch in batches(items, "cuda:0")]
    [2, 1]
    """
    most = BATCH_SECONDS.get(str(device), BATCH_SECONDS["cuda"])
    batch, seconds = [], 0.0
    for item in items:
        if batch and seconds + item["seconds"] > most:
            yield batch
            batch, seconds = [], 0.0
        batch.append(item)
        seconds += item["seconds"]
    if batch:
        yield batch
