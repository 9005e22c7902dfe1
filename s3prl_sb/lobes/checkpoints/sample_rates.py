"""Sample rates of checkpoints.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.lobes.checkpoints.reading import CheckpointError

#: Default sample rate, Hz, and that of nearly all checkpoints.
USUAL = 16000


def agreed(requested, stated, source=None):
    """Returns the sample rate of a network.

    Arguments
    ---------
    requested : int or None
        Rate of a card, Hz.
    stated : int or None
        Rate in the checkpoint or in a random network's configuration, Hz.
    source : str, optional
        Checkpoint, for errors.

    Returns
    -------
    int
        Rate, Hz; :data:`USUAL` if there is none.

    Raises
    ------
    CheckpointError
        If the two contradict each other, or one is not a rate.

    Example
    -------
    >>> agreed(None, 8000), agreed(24000, None), agreed(None, None)
    (8000, 24000, 16000)
    >>> agreed(16000, 8000, "x.pt")
    Traceback (most recent call last):
    ...
    s3prl_sb.lobes.checkpoints.values.CheckpointError: 'x.pt' is of 8000 Hz, and …
    """
    where = "The configuration" if source is None else f"'{source}'"
    requested = _whole(requested, f"sample_rate: {requested!r} is no number of Hz.")
    stated = _whole(stated, f"{where} has a sample rate of {stated!r}, which is no Hz.")
    if None not in (requested, stated) and requested != stated:
        raise CheckpointError(
            f"{where} is of {stated} Hz, and sample_rate: {requested} contradicts it. "
            "Leave sample_rate out: the checkpoint decides."
        )
    return requested or stated or USUAL


def stated_in(*options, key="sample_rate"):
    """Returns the sample rate in fairseq's options, the first one present.

    Arguments
    ---------
    *options : dict
        Options of tasks and models.
    key : str
        Key of another option to look for.

    Returns
    -------
    object or None
        Rate, Hz, or value of the other option.

    Example
    -------
    >>> stated_in({"normalize": True}, {"sample_rate": 8000}), stated_in({})
    (8000, None)
    """
    values = (part.get(key) for part in options)
    return next((value for value in values if value is not None), None)


def _whole(rate, fault):
    if rate is None:
        return None
    try:
        whole = int(rate)
    except (TypeError, ValueError, OverflowError):
        whole = 0
    if whole < 1 or whole != rate or isinstance(rate, bool):
        raise CheckpointError(fault)
    return whole
